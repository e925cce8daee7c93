//! Filling a region with messages that its peer lacks: people who post into groups of their own, as fast as they are answered.
//!
//! While the link is cut nothing becomes stable, so a client keeps what it sent, up to a limit. Whoever has posted a share of the whole therefore leaves, and somebody new
//! comes with groups of their own: the more messages, the more groups.
//!
//! What must always hold: a region is filled only when every message was acknowledged; a refusal ends the run, since the figures that follow would be of less.

use super::load::{BODY_BYTES, connect};
use crate::limits::GATHER_WITHIN;
use crate::options::{ReplayError, ReplayOptions, WORLD_PLACEMENT};
use bytes::Bytes;
use crdt::{ConversationId, MessageId};
use gateway_client_net::{Act, ClientHandle, Content, Event, Events};
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use region::cluster::ClusterRegion;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// People who post in a region at a time.
const AT_ONCE: u64 = 16;
/// Groups of each.
const GROUPS_EACH: usize = 2;
/// Messages that each has under way: what a client sends before it is answered.
const UNDER_WAY: usize = 32;
/// Messages that one person posts before somebody new comes: well below what a client keeps.
const SHARE_MAX: u64 = 4_000;

/// Fills every region with so many messages, all at once.
pub(super) async fn fill(options: &Arc<ReplayOptions>, operations: u64) -> Result<(), ReplayError> {
    let mut tasks: JoinSet<Result<(), ReplayError>> = JoinSet::new();
    for region in options.cluster.regions.values() {
        let left = Arc::new(AtomicU64::new(operations));
        let share = operations.div_ceil(AT_ONCE).clamp(1, SHARE_MAX);
        for number in 0..AT_ONCE {
            let (options, region, left) = (Arc::clone(options), region.clone(), Arc::clone(&left));
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut dice = ChaCha12Rng::seed_from_u64(since.as_nanos() as u64);
            dice.set_stream(number);
            tasks.spawn(async move {
                loop {
                    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        Some(left.saturating_sub(share))
                    });
                    let messages = taken.unwrap_or(0).min(share);
                    if messages == 0 {
                        return Ok(());
                    }
                    post_share(&options, &region, messages, &mut dice).await?;
                }
            });
        }
    }
    while let Some(filled) = tasks.join_next().await {
        filled.map_err(|error| ReplayError::Cluster(format!("who fills a region has ended: {error}")))??;
    }
    Ok(())
}

/// Somebody comes, posts so many messages, and leaves once all are acknowledged.
async fn post_share(
    options: &ReplayOptions,
    region: &ClusterRegion,
    messages: u64,
    dice: &mut ChaCha12Rng,
) -> Result<(), ReplayError> {
    let (user, handle, mut events) = connect(options, region, dice)?;
    let world = options.placement(WORLD_PLACEMENT)?;
    let mut groups = vec![];
    for _ in 0..GROUPS_EACH {
        let conversation = ConversationId::group(world, number(dice));
        let (members, name) = (vec![user], "bench".to_owned());
        act(&handle, Act::CreateGroup { conversation, command: None, members, name }).await?;
        groups.push(conversation);
    }
    let opened = tokio::time::timeout(GATHER_WITHIN, open(&mut events)).await;
    opened
        .map_err(|_| ReplayError::Cluster("somebody who fills a region was told of no group".to_owned()))??;
    let mut waiting = BTreeSet::new();
    let mut posted = 0;
    loop {
        while posted < messages && waiting.len() < UNDER_WAY {
            let conversation = groups[posted as usize % groups.len()];
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let message = MessageId::new(wall.as_millis() as u64, number(dice));
            let mut body = vec![0; BODY_BYTES];
            dice.fill_bytes(&mut body);
            waiting.insert(message);
            posted += 1;
            let body = Bytes::from(body);
            act(&handle, Act::Send { conversation, message: Some(message), body, reply_to: None }).await?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        if let Event::Acknowledged { command, .. } = next(&mut events).await? {
            waiting.remove(&command);
        }
    }
}

/// Waits until all groups are there.
async fn open(events: &mut Events) -> Result<(), ReplayError> {
    let mut opened = 0;
    while opened < GROUPS_EACH {
        if let Event::Shown { item, .. } = next(events).await?
            && matches!(item.content, Content::Created { .. })
        {
            opened += 1;
        }
    }
    Ok(())
}

async fn act(handle: &ClientHandle, act: Act) -> Result<(), ReplayError> {
    let acted = handle.act(act).await;
    acted.map_err(|_| ReplayError::Cluster("a client that fills a region has stopped".to_owned()))
}

/// The next thing that the client is told. A refusal is the end.
async fn next(events: &mut Events) -> Result<Event, ReplayError> {
    match events.next().await {
        Some(Event::Refused { code, .. }) => {
            Err(ReplayError::Cluster(format!("who fills a region was refused with `{code}`")))
        }
        Some(event) => Ok(event),
        None => Err(ReplayError::Cluster("a client that fills a region has stopped".to_owned())),
    }
}

fn number(dice: &mut ChaCha12Rng) -> u128 {
    u128::from(dice.next_u64()) << 64 | u128::from(dice.next_u64())
}
