//! Looks at all of a message of gossip before chitchat does.
//!
//! chitchat knows no liars: a start or a key that it is told of it keeps, some numbers end its process, and a short message may inflate to a long one. A peer here has proven which
//! region it is, and may be broken or taken over all the same.
//!
//! What must always hold:
//! - A message is let through only if its sender is the region that the certificate names, and everything in it is of regions of the cluster file.
//! - Whatever is let through, chitchat neither panics nor holds more than [`STARTS_MAX`] starts a region, each with one line of facts; twice as many for a moment, if one message is looked at
//!   while what is held is counted.
//! - What is refused changes nothing. What is refused of a peer is its message, never its bridge.
//!
//! What a region that lies can still do: say that another one is live or dead, or what that one never said, to those that do not hear it themselves. A view is an opinion (decision 0035).

use crate::carrier::opened;
use crate::limits::{BLOCK_BYTES_MAX, BLOCKS_MAX, NUMBER_MAX, STARTS_MAX};
use crate::node::region_of;
use crate::refused::GossipRefused;
use chitchat::{ChitchatId, ChitchatMessage, Deserializable};
use crdt::RegionId;
use region::membership::Facts;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The key under which a region's line of facts stands. There is no other.
pub(crate) const FACTS: &str = "f";

// chitchat's encoding of messages (`message.rs`, `delta.rs` and `serialize.rs` of 0.11.2); numbers are little-endian.
const MAGIC: u16 = 45_139;
const VERSION: u8 = 0;
const SYN: u8 = 0;
const SYN_ACK: u8 = 1;
const ACK: u8 = 2;
const NO_MORE_BLOCKS: u8 = 0;
const COMPRESSED: u8 = 1;
const AS_IT_IS: u8 = 2;
const OF_NODE: u8 = 0;
const KEY_VALUE: u8 = 1;
const SET: u8 = 0;

/// What chitchat holds, as far as the gate must know it.
#[derive(Debug, Default)]
pub(crate) struct Held {
    starts: Mutex<BTreeSet<(RegionId, u64)>>,
    /// The version of this region's own facts.
    own_version: AtomicU64,
}

impl Held {
    /// chitchat holds these starts now, and this region's own facts in that version.
    pub(crate) fn note(&self, starts: BTreeSet<(RegionId, u64)>, own_version: u64) {
        *self.starts() = starts;
        self.own_version.store(own_version, Ordering::Relaxed);
    }

    fn starts(&self) -> MutexGuard<'_, BTreeSet<(RegionId, u64)>> {
        // Every write is one insertion or one assignment.
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets messages through, or not.
#[derive(Debug)]
pub(crate) struct Gate {
    /// This start of this region.
    pub(crate) own: ChitchatId,
    /// The cluster's.
    pub(crate) regions: BTreeSet<RegionId>,
    pub(crate) held: Arc<Held>,
}

impl Gate {
    /// The message, if it is one for chitchat.
    pub(crate) fn admit(&self, certified: RegionId, bytes: &[u8]) -> Result<ChitchatMessage, GossipRefused> {
        let (sender, message) = opened(bytes).ok_or(GossipRefused::Malformed("it names no sender"))?;
        if sender != certified {
            return Err(GossipRefused::OtherSender(sender));
        }
        let starts = self.look_at(message)?;
        let decoded = ChitchatMessage::deserialize(&mut &*message);
        let decoded = decoded.map_err(|_| GossipRefused::Malformed("chitchat does not read it"))?;
        self.hold(starts)?;
        Ok(decoded)
    }

    /// The starts of which it tells.
    fn look_at(&self, message: &[u8]) -> Result<BTreeSet<(RegionId, u64)>, GossipRefused> {
        let rest = &mut &*message;
        if (next::<u16>(rest)?, next::<u8>(rest)?) != (MAGIC, VERSION) {
            return Err(GossipRefused::Malformed("it is of another version"));
        }
        let kind: u8 = next(rest)?;
        let mut starts = BTreeSet::new();
        if matches!(kind, SYN | SYN_ACK) {
            starts = self.look_at_digest(rest)?;
        }
        match kind {
            // The cluster's name: which cluster it is the certificate has said.
            SYN => _ = next::<String>(rest)?,
            SYN_ACK | ACK => self.look_at_facts(&inflated(rest)?)?,
            _ => return Err(GossipRefused::Malformed("it is of no kind that regions send")),
        }
        if rest.is_empty() { Ok(starts) } else { Err(GossipRefused::Malformed("something follows it")) }
    }

    fn look_at_digest(&self, rest: &mut &[u8]) -> Result<BTreeSet<(RegionId, u64)>, GossipRefused> {
        let mut starts = BTreeSet::new();
        for _ in 0..next::<u16>(rest)? {
            let id: ChitchatId = next(rest)?;
            starts.insert((self.region_of(&id)?, id.generation_id));
            let (heartbeat, collected, version) = (number(rest)?, number(rest)?, number(rest)?);
            if collected != 0 || heartbeat > NUMBER_MAX || version > NUMBER_MAX {
                return Err(GossipRefused::Malformed("no region counts so far"));
            }
        }
        Ok(starts)
    }

    /// Facts have one key, are set and never removed, so a start has one value at most.
    fn look_at_facts(&self, facts: &[u8]) -> Result<(), GossipRefused> {
        let mut rest = facts;
        let mut told = BTreeSet::new();
        while !rest.is_empty() {
            if next::<u8>(&mut rest)? != OF_NODE {
                return Err(GossipRefused::Malformed("facts of nobody, or more than one line of them"));
            }
            let id: ChitchatId = next(&mut rest)?;
            let region = self.region_of(&id)?;
            let (collected, _from) = (number(&mut rest)?, number(&mut rest)?);
            if collected != 0 || !told.insert((region, id.generation_id)) {
                return Err(GossipRefused::Malformed("facts were never removed, and come once"));
            }
            if rest.first() != Some(&KEY_VALUE) {
                return Err(GossipRefused::Malformed("a start without facts"));
            }
            rest = &rest[1..];
            let (key, value): (String, String) = (next(&mut rest)?, next(&mut rest)?);
            let (version, status) = (number(&mut rest)?, next::<u8>(&mut rest)?);
            if key != FACTS || status != SET || version > NUMBER_MAX || Facts::parse(&value).is_none() {
                return Err(GossipRefused::Malformed("facts that no region says"));
            }
            if id == self.own && version > self.held.own_version.load(Ordering::Relaxed) {
                return Err(GossipRefused::OfReceiver);
            }
        }
        Ok(())
    }

    fn region_of(&self, id: &ChitchatId) -> Result<RegionId, GossipRefused> {
        let region = region_of(id).filter(|region| self.regions.contains(region));
        region.ok_or_else(|| GossipRefused::Stranger(format!("{id:?}").chars().take(80).collect()))
    }

    /// Counts these starts among those that are held.
    fn hold(&self, starts: BTreeSet<(RegionId, u64)>) -> Result<(), GossipRefused> {
        let mut held = self.held.starts();
        let mut all = held.clone();
        for (region, start) in starts {
            let is_new = all.insert((region, start));
            if is_new && all.range((region, 0)..=(region, u64::MAX)).count() > STARTS_MAX {
                return Err(GossipRefused::TooManyStarts(region));
            }
        }
        *held = all;
        Ok(())
    }
}

fn next<T: Deserializable>(rest: &mut &[u8]) -> Result<T, GossipRefused> {
    T::deserialize(rest).map_err(|_| GossipRefused::Malformed("it is cut short"))
}

fn number(rest: &mut &[u8]) -> Result<u64, GossipRefused> {
    next(rest)
}

/// The bytes of all blocks.
fn inflated(rest: &mut &[u8]) -> Result<Vec<u8>, GossipRefused> {
    let mut all = Vec::new();
    for _ in 0..=BLOCKS_MAX {
        let kind: u8 = next(rest)?;
        if kind == NO_MORE_BLOCKS {
            return Ok(all);
        }
        let length = usize::from(next::<u16>(rest)?);
        let (block, after) =
            rest.split_at_checked(length).ok_or(GossipRefused::Malformed("a block is cut short"))?;
        *rest = after;
        match kind {
            COMPRESSED => {
                let block = zstd::bulk::decompress(block, BLOCK_BYTES_MAX);
                all.extend(block.map_err(|_| GossipRefused::Malformed("a block does not inflate"))?);
            }
            AS_IT_IS if block.len() <= BLOCK_BYTES_MAX => all.extend(block),
            _ => return Err(GossipRefused::Malformed("a block is of no kind, or too long")),
        }
    }
    Err(GossipRefused::Malformed("it has too many blocks"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        ACK, AS_IT_IS, BLOCK_BYTES_MAX, BTreeSet, COMPRESSED, FACTS, Gate, GossipRefused, Held, KEY_VALUE,
        MAGIC, NO_MORE_BLOCKS, NUMBER_MAX, OF_NODE, RegionId, STARTS_MAX, SYN, SYN_ACK, VERSION,
    };
    use crate::node::id;
    use chitchat::{ChitchatId, Serializable as _};
    use std::sync::Arc;

    const LINE: &str = "c=wss://east:1 b=127.0.0.1:1 d=0 n=0 m=0 p1=1a";
    const EAST: RegionId = RegionId(1);
    const WEST: RegionId = RegionId(2);
    /// When all were started.
    const BEGAN: u64 = 1_000;

    /// West's, of a cluster of three regions.
    fn gate() -> Gate {
        let held: Arc<Held> = Arc::default();
        held.note(BTreeSet::from([(WEST, BEGAN)]), 5);
        Gate { own: id(WEST, BEGAN), regions: BTreeSet::from([1, 2, 3].map(RegionId)), held }
    }

    fn message(kind: u8, rest: &[&[u8]]) -> Vec<u8> {
        let mut bytes = EAST.0.to_be_bytes().to_vec();
        MAGIC.serialize(&mut bytes);
        bytes.extend([VERSION, kind]);
        bytes.extend(rest.concat());
        bytes
    }

    fn digest(ids: &[ChitchatId], numbers: [u64; 3]) -> Vec<u8> {
        let mut bytes = u16::try_from(ids.len()).unwrap().serialize_to_vec();
        for id in ids {
            id.serialize(&mut bytes);
            numbers.iter().for_each(|number| number.serialize(&mut bytes));
        }
        bytes
    }

    fn syn(ids: &[ChitchatId]) -> Vec<u8> {
        message(SYN, &[&digest(ids, [3, 0, 2]), &String::new().serialize_to_vec()])
    }

    /// What is told of a start: its id, what was collected of it, key, value, version and status.
    fn told(
        id: &ChitchatId,
        collected: u64,
        (key, value): (&str, &str),
        version: u64,
        status: u8,
    ) -> Vec<u8> {
        let mut bytes = vec![OF_NODE];
        id.serialize(&mut bytes);
        [collected, 0].iter().for_each(|number| number.serialize(&mut bytes));
        bytes.push(KEY_VALUE);
        key.serialize(&mut bytes);
        value.serialize(&mut bytes);
        version.serialize(&mut bytes);
        bytes.push(status);
        bytes
    }

    fn block(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[kind], &u16::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
    }

    fn ack(blocks: &[Vec<u8>]) -> Vec<u8> {
        message(ACK, &[&blocks.concat(), &[NO_MORE_BLOCKS]])
    }

    fn refused(bytes: &[u8]) -> &'static str {
        gate().admit(EAST, bytes).map_or_else(|refused| refused.code(), |_| "let through")
    }

    #[test]
    fn what_regions_say_is_let_through_inflated_or_as_it_is() {
        let of_east = told(&id(EAST, BEGAN), 0, (FACTS, LINE), 4, 0);
        let deflated = zstd::bulk::compress(&of_east, 0).unwrap();
        let both = digest(&[id(EAST, BEGAN), id(WEST, BEGAN)], [9, 0, 4]);
        for said in [
            syn(&[id(EAST, BEGAN), id(RegionId(3), BEGAN), id(RegionId(3), 1)]),
            ack(&[]),
            ack(&[block(AS_IT_IS, &of_east)]),
            message(SYN_ACK, &[&both, &block(COMPRESSED, &deflated), &[NO_MORE_BLOCKS]]),
            // What is told of this region comes back late.
            ack(&[block(AS_IT_IS, &told(&id(WEST, BEGAN), 0, (FACTS, LINE), 5, 0))]),
        ] {
            assert_eq!(refused(&said), "let through", "{said:?}");
        }
    }

    #[test]
    fn a_message_of_another_sender_than_the_certificate_names_is_refused() {
        let said = syn(&[id(EAST, BEGAN)]);
        assert!(gate().admit(EAST, &said).is_ok());
        assert_eq!(gate().admit(RegionId(3), &said).unwrap_err(), GossipRefused::OtherSender(EAST));
        assert_eq!(refused(&[0]), "gossip_malformed");
    }

    #[test]
    fn only_regions_of_the_cluster_file_are_told_of() {
        let named = ChitchatId::new("r3", BEGAN, "192.0.2.1:7".parse().unwrap());
        for stranger in [id(RegionId(4), BEGAN), named] {
            assert_eq!(refused(&syn(&[id(EAST, BEGAN), stranger.clone()])), "gossip_stranger");
            let facts = told(&stranger, 0, (FACTS, LINE), 4, 0);
            assert_eq!(refused(&ack(&[block(AS_IT_IS, &facts)])), "gossip_stranger");
        }
    }

    #[test]
    fn a_region_is_not_told_what_it_has_never_said_of_itself() {
        let own = id(WEST, BEGAN);
        assert_eq!(
            refused(&ack(&[block(AS_IT_IS, &told(&own, 0, (FACTS, LINE), 6, 0))])),
            "gossip_of_receiver"
        );
    }

    #[test]
    fn starts_are_bounded_and_a_refused_message_counts_none() {
        let starts = |numbers: std::ops::Range<u64>| {
            syn(&numbers.map(|number| id(RegionId(3), number)).collect::<Vec<_>>())
        };
        let most = STARTS_MAX as u64;
        let gate = gate();
        let code =
            |said: &[u8]| gate.admit(EAST, said).map_or_else(|refused| refused.code(), |_| "let through");
        assert_eq!(code(&starts(0..most + 1)), "gossip_too_many_starts");
        assert_eq!(code(&starts(0..most)), "let through");
        assert_eq!(code(&starts(0..most)), "let through", "the same again");
        assert_eq!(code(&starts(most..most + 1)), "gossip_too_many_starts");
        assert_eq!(code(&syn(&[id(EAST, 7)])), "let through", "another region has its own");
        gate.held.note(BTreeSet::from([(WEST, BEGAN)]), 5);
        assert_eq!(code(&starts(most..most + 1)), "let through", "once others are forgotten");
    }

    #[test]
    fn what_would_end_chitchat_or_bloat_it_is_refused() {
        let east = id(EAST, BEGAN);
        let of_east = [east.clone()];
        let facts = |collected, key_value, version, status| {
            ack(&[block(AS_IT_IS, &told(&east, collected, key_value, version, status))])
        };
        let once = told(&east, 0, (FACTS, LINE), 4, 0);
        let [mut cut, mut twice, mut only_version] =
            [once.clone(), [&once[..], &once].concat(), once.clone()];
        cut.pop();
        twice.extend(1_u64.serialize_to_vec());
        only_version.push(2);
        only_version.extend(1_u64.serialize_to_vec());
        let long = zstd::bulk::compress(&vec![0; BLOCK_BYTES_MAX + 1], 0).unwrap();
        for (number, said) in [
            facts(1, (FACTS, LINE), 4, 0),
            facts(0, ("other", LINE), 4, 0),
            facts(0, (FACTS, "anything"), 4, 0),
            facts(0, (FACTS, &format!("{LINE} z={}", "z".repeat(3_000))), 4, 0),
            facts(0, (FACTS, LINE), NUMBER_MAX + 1, 0),
            facts(0, (FACTS, LINE), 4, 1),
            ack(&[block(AS_IT_IS, &cut)]),
            ack(&[block(AS_IT_IS, &twice)]),
            ack(&[block(AS_IT_IS, &only_version)]),
            ack(&[block(COMPRESSED, &long)]),
            ack(&[block(COMPRESSED, &once)]),
            ack(&[block(9, &once)]),
            ack(&vec![block(AS_IT_IS, &[]); 6]),
            message(ACK, &[]),
            message(3, &[]),
            message(SYN, &[&digest(&of_east, [NUMBER_MAX + 1, 0, 0]), &[0, 0]]),
            message(SYN, &[&digest(&of_east, [0, 1, 0]), &[0, 0]]),
            message(SYN, &[&digest(&of_east, [0, 0, NUMBER_MAX + 1]), &[0, 0]]),
            [syn(&of_east), vec![0]].concat(),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(refused(&said), "gossip_malformed", "number {number}: {said:?}");
        }
    }
}
