//! Waits until all is calm: every step played, every message stable everywhere, everybody signed in, and nothing new on any screen.
//!
//! What it refuses: to wait for ever. What is missing at the deadline is said in the report, and the checks judge what there is.

use crate::crowd::Crowd;
use crate::limits::{CALM_WITHIN, LOOK_EVERY, PAGE_MESSAGES, PAGES_WITHIN, QUIET_FOR};
use crate::options::Progress;
use crate::people::Person;
use gateway_client_net::{Act, PageFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Waits, up to the limit. Returns what was missing, if anything was.
pub(crate) async fn wait(
    crowd: &Crowd,
    duration_ms: u64,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Option<String> {
    let within = CALM_WITHIN.max(Duration::from_millis(duration_ms / 2));
    let begin = Instant::now();
    loop {
        let missing = missing(crowd)?;
        progress(Progress::Calming {
            unstable: planned(crowd) - count(&crowd.board.stable).min(planned(crowd)),
        });
        if begin.elapsed() > within {
            let first = crowd.first_waiting().map_or_else(String::new, |first| format!("; {first}"));
            return Some(format!("it did not become calm within {} s: {missing}{first}", within.as_secs()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What keeps it from being calm; none if it is.
fn missing(crowd: &Crowd) -> Option<String> {
    let board = &crowd.board;
    let (planned, steps) = (planned(crowd), crowd.plan.steps.len() as u64);
    let counts = [
        (count(&board.steps_done), steps, "steps played"),
        (count(&board.acknowledged), planned, "messages acknowledged"),
        (count(&board.stable), planned, "messages stable"),
    ];
    if let Some((count, of, what)) = counts.into_iter().find(|(count, of, _)| count < of) {
        return Some(format!("{count} of {of} {what}"));
    }
    let amending: usize = crowd.people.iter().map(|person| person.state().amending.len()).sum();
    if amending > 0 {
        return Some(format!("{amending} edits, deletions and reactions are not done"));
    }
    let away = crowd.people.iter().filter(|person| !person.is_connected()).count();
    if away > 0 {
        return Some(format!("{away} clients are not signed in"));
    }
    let quiet_us = board.clock.now_us().saturating_sub(count(&board.last_shown_us));
    (u128::from(quiet_us) < QUIET_FOR.as_micros()).then(|| "messages are still being shown".to_owned())
}

/// Everybody looks at the newest page of each conversation, and at who its admins are. Returns what was missing, if anything was.
pub(crate) async fn look_at_last_pages(crowd: &Crowd) -> Option<String> {
    for (number, person) in crowd.people.iter().enumerate() {
        for (conversation, planned) in crowd.plan.conversations.iter().enumerate() {
            if planned.members.contains(&number) || planned.added.contains(&number) {
                ask_for_page(person, crowd.conversations[conversation]).await;
            }
        }
        ask_for_lists(person).await;
    }
    let begin = Instant::now();
    loop {
        let due = |person: &Arc<Person>| {
            let state = person.state();
            state.pages_due.len() + state.lists_due
        };
        let due: usize = crowd.people.iter().map(due).sum();
        if due == 0 {
            return None;
        }
        if begin.elapsed() > PAGES_WITHIN {
            return Some(format!(
                "{due} last pages and lists did not come within {} s",
                PAGES_WITHIN.as_secs()
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn ask_for_page(person: &Arc<Person>, conversation: crdt::ConversationId) {
    person.state().pages_due.insert(conversation);
    person.act(Act::Page { conversation, from: PageFrom::Newest, limit: PAGE_MESSAGES }).await;
}

/// On every connection.
async fn ask_for_lists(person: &Arc<Person>) {
    let connections = person.state().connections.len();
    person.state().lists_due += connections;
    person.act(Act::List).await;
}

fn planned(crowd: &Crowd) -> u64 {
    crowd.plan.messages()
}

fn count(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
