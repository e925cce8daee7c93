//! Random lives of three regions: whatever is done, carried, resent and lost in crashes, in the end all hold the same, nothing that was
//! acknowledged is missing, and no dot was issued twice.
//!
//! The twin is `crdt::Conversation`, which holds a whole conversation in memory and shares no table with a shard. Not looked at here: what
//! devices are shown on the way, which `histories.rs` and `reading.rs` do.
use crate::rig::{WORLD, World, create, group, message, post, user};
use bytes::Bytes;
use crdt::conversation::Conversation;
use crdt::{ConversationId, Dot, Identity, MessageId, Operation, UserId};
use proptest::prelude::*;
use region::command::{Command, Done, MembersWish, Wish};
use region::export::ExportedHidden;
use region::shard::Input;
use region::{export, read, verify};
use replication::log::{LogView as _, Position};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

#[derive(Debug, Clone)]
enum Act {
    /// A user asks a region for something. The same message number again is a resend.
    Ask {
        at: usize,
        user: u64,
        what: Ask,
        number: u128,
    },
    /// Several posts in one step.
    Burst {
        at: usize,
        user: u64,
        numbers: Vec<u128>,
    },
    /// A bridge carries so many bytes a partition.
    Carry {
        from: usize,
        to: usize,
        bytes: usize,
    },
    /// A region decides something, and crashes before it is durable.
    Crash {
        at: usize,
        user: u64,
        number: u128,
    },
    /// A region stops and starts.
    Restart {
        at: usize,
    },
    Tick {
        at: usize,
    },
}

#[derive(Debug, Clone)]
enum Ask {
    Create { group: u128 },
    Direct { peer: u64 },
    Members { group: u128, wish: MembersWish },
    Post { group: u128 },
    Read { group: u128, upto: usize },
    Amend { group: u128, sender: u64, message: u128, wish: Wish },
    Hide { group: u128, sender: u64, message: u128 },
}

const REGIONS: usize = 3;

fn members_wish() -> impl Strategy<Value = MembersWish> {
    (1_u64..5, 0_u8..9).prop_map(|(number, which)| match which {
        0..=2 => MembersWish::Add(user(number)),
        3 | 4 => MembersWish::Promote(user(number)),
        5 => MembersWish::Remove(user(number)),
        6 => MembersWish::Demote(user(number)),
        7 => MembersWish::Leave,
        _ => MembersWish::Claim,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let at = 0..REGIONS;
    let (user, number) = (1_u64..5, 0_u128..40);
    let ask = prop_oneof![
        2 => (0_u128..3).prop_map(|group| Ask::Create { group }),
        1 => user.clone().prop_map(|peer| Ask::Direct { peer }),
        5 => (0_u128..3, members_wish()).prop_map(|(group, wish)| Ask::Members { group, wish }),
        8 => (0_u128..3).prop_map(|group| Ask::Post { group }),
        2 => (0_u128..3, 0_usize..20).prop_map(|(group, upto)| Ask::Read { group, upto }),
        8 => (user.clone(), number.clone(), wish())
            .prop_map(|(sender, message, wish)| Ask::Amend { group: 0, sender, message, wish }),
        3 => (user.clone(), number.clone())
            .prop_map(|(sender, message)| Ask::Hide { group: 0, sender, message }),
    ];
    prop_oneof![
        8 => (at.clone(), user.clone(), ask, number.clone())
            .prop_map(|(at, user, what, number)| Act::Ask { at, user, what, number }),
        2 => (at.clone(), user.clone(), proptest::collection::vec(number.clone(), 1..5))
            .prop_map(|(at, user, numbers)| Act::Burst { at, user, numbers }),
        4 => (at.clone(), at.clone(), 1_usize..2_000)
            .prop_map(|(from, to, bytes)| Act::Carry { from, to, bytes }),
        1 => (at.clone(), user, number).prop_map(|(at, user, number)| Act::Crash { at, user, number }),
        1 => at.clone().prop_map(|at| Act::Restart { at }),
        1 => at.prop_map(|at| Act::Tick { at }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let emoji = || prop::sample::select(vec!["👍", "❤"]).prop_map(|emoji| emoji.parse().unwrap());
    prop_oneof![
        3 => Just(Wish::Edit(Bytes::from_static(b"an edit"))),
        1 => Just(Wish::Delete),
        3 => emoji().prop_map(Wish::React),
        2 => emoji().prop_map(Wish::Withdraw),
    ]
}

/// What the users were told, by what their command was.
#[derive(Default)]
struct Told {
    dots: BTreeMap<(ConversationId, UserId, MessageId), Vec<Dot>>,
    hidden: BTreeSet<ExportedHidden>,
}

impl Told {
    fn note(&mut self, sender: u64, done: &Done) {
        if let Done::Operation { conversation, command, dot, .. } = done {
            self.dots.entry((*conversation, user(sender), *command)).or_default().push(*dot);
        }
    }
}

fn command(world: &World, at: usize, by: u64, what: &Ask, number: u128) -> Command {
    let command = message(number);
    match what {
        Ask::Create { group: id } => create(group(*id), number, &[1, 2, 3]),
        Ask::Direct { peer } => Command::OpenDirect { placement: WORLD, command, peer: user(*peer) },
        Ask::Members { group: id, wish } => {
            Command::ChangeMembers { conversation: group(*id), command, wish: *wish }
        }
        Ask::Post { group: id } => post(group(*id), number, "a message"),
        Ask::Amend { group: id, sender, message, wish } => {
            let target = Identity { sender: user(*sender), message: crate::rig::message(*message) };
            Command::Amend { conversation: group(*id), command, target, wish: wish.clone(), seen: None }
        }
        Ask::Hide { group: id, sender, message } => {
            let message = Identity { sender: user(*sender), message: crate::rig::message(*message) };
            Command::Hide { conversation: group(*id), message }
        }
        Ask::Read { group: id, upto } => {
            let (view, standing) = (&world.regions[at].store, read::Standing::default());
            let given = read::changes(view, group(*id), user(by), &standing, *upto).unwrap();
            let read = given.map(|given| given.cut);
            Command::Receipt { conversation: group(*id), delivered: None, read }
        }
    }
}

fn perform(world: &mut World, told: &mut Told, act: &Act) {
    match act {
        Act::Ask { at, user, what, number } => {
            let command = command(world, *at, *user, what, *number);
            let asked = command.clone();
            if let Ok(done) = world.ask(*at, *user, command) {
                if let Command::Hide { conversation, message } = asked {
                    let user = crate::rig::user(*user);
                    told.hidden.insert(ExportedHidden { conversation, user, message });
                }
                told.note(*user, &done);
            }
        }
        Act::Burst { at, user, numbers } => {
            let posts = numbers.iter().map(|number| world.command(*user, post(group(0), *number, "burst")));
            let inputs = posts.collect();
            world.step(*at, inputs);
            for done in crate::rig::replies(&world.effects).into_values().flatten() {
                told.note(*user, &done);
            }
        }
        Act::Carry { from, to, bytes } if from != to => {
            let inputs = world.lacking(*from, *to, *bytes);
            world.step(*to, inputs);
        }
        Act::Carry { .. } => {}
        Act::Crash { at, user, number } => {
            let input = world.command(*user, post(group(0), *number, "never heard of"));
            let _lost = world.step_only(*at, vec![input]).unwrap();
            world.reopen(*at);
        }
        Act::Restart { at } => world.reopen(*at),
        Act::Tick { at } => {
            world.now = world.now.plus_ms(1_100);
            world.step(*at, vec![Input::Tick]);
        }
    }
}

/// Every operation of a region's log as the whole conversations they make, by the slow obvious way.
fn twins(world: &World, at: usize) -> BTreeMap<ConversationId, Conversation> {
    let log = world.log(at);
    let mut twins = BTreeMap::new();
    for (partition, _) in log.partitions().unwrap() {
        for logged in log.read(partition, Position(0), usize::MAX).unwrap() {
            for (dot, bytes) in logged.commit.dots().zip(&logged.commit.operations) {
                let envelope = crdt::operation::Envelope::decode(&bytes.envelope).unwrap();
                let id = envelope.conversation;
                let twin = twins.entry(id).or_insert_with(|| Conversation::new(id));
                let (envelope, payload) = (bytes.envelope.clone(), bytes.payload.clone());
                twin.apply(&Operation { dot, envelope, payload }).unwrap();
            }
        }
    }
    twins
}

fn check(world: &World, told: &Told) {
    let exported = export::partitions(&world.regions[0].store, WORLD).unwrap();
    let twins = twins(world, 0);
    for (conversation, digest) in exported.iter().flat_map(|partition| &partition.conversations) {
        assert_eq!(*digest, twins[conversation].digest(), "tables hold what the slow way holds");
    }
    for partition in &exported {
        let sum = partition.conversations.values().copied().sum();
        assert_eq!(
            partition.kept,
            Some(sum),
            "what is kept of {} is what its tables come to",
            partition.partition
        );
    }
    let memberships = export::memberships(&world.regions[0].store).unwrap();
    for membership in &memberships {
        let standing = twins[&membership.conversation].membership().member(membership.user);
        assert_eq!(standing.as_ref(), Some(&membership.since));
    }
    let receipts = export::receipts(&world.regions[0].store).unwrap();
    for (at, region) in world.regions.iter().enumerate() {
        let verified = verify::verify(&region.store, WORLD, 10).unwrap();
        assert_eq!(verified.damaged, [], "region {at} is sound");
        assert_eq!(export::partitions(&region.store, WORLD).unwrap(), exported, "region {at} agrees");
        assert_eq!(export::memberships(&region.store).unwrap(), memberships);
        assert_eq!(export::receipts(&region.store).unwrap(), receipts);
        let hidden: BTreeSet<_> = export::hidden(&region.store).unwrap().into_iter().collect();
        assert_eq!(hidden, told.hidden, "what users hid is hidden, and nothing else");
        let all_stable = exported.iter().all(|partition| partition.stable == partition.applied);
        assert!(all_stable, "at rest everything is stable");
        let mut carried = BTreeMap::new();
        for twin in twins.values() {
            for (identity, aliases) in twin.timeline().identities() {
                for place in aliases.iter() {
                    // The same sequence in two partitions is two dots.
                    let dot = (twin.id().partition(), place.dot);
                    assert_eq!(carried.insert(dot, (twin.id(), identity)), None, "no dot is issued twice");
                }
            }
        }
        for ((conversation, sender, message), dots) in &told.dots {
            for dot in dots {
                let held = carried.get(&(conversation.partition(), *dot));
                let identity = crdt::Identity { sender: *sender, message: *message };
                assert_eq!(held, Some(&(*conversation, identity)), "what was acknowledged is there");
            }
        }
        check_cuts(world, at, &twins);
        let mut shown = BTreeMap::new();
        export::posts(&region.store, |post| {
            let identity = (post.conversation, post.sender, post.message);
            assert_eq!(shown.insert(identity, post), None, "a message is shown once");
            ControlFlow::Continue(())
        })
        .unwrap();
    }
}

/// At rest the payloads of what was deleted are gone, and no others.
fn check_cuts(world: &World, at: usize, twins: &BTreeMap<ConversationId, Conversation>) {
    let log = world.log(at);
    for (partition, _) in log.partitions().unwrap() {
        for logged in log.read(partition, Position(0), usize::MAX).unwrap() {
            for operation in logged.commit.operations {
                let envelope = crdt::operation::Envelope::decode(&operation.envelope).unwrap();
                let message = envelope.target.unwrap_or_else(|| envelope.identity());
                let amendments = twins[&envelope.conversation].amendments_of(message);
                let is_deleted = amendments.is_some_and(crdt::amendments::Amendments::is_deleted);
                // An edit that is void is none of the message's.
                let is_of_it = envelope.sender == message.sender && envelope.kind.may_be_cut();
                assert_eq!(operation.payload.is_none(), is_deleted && is_of_it, "{envelope:?} at {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_regions_end_equal_and_nothing_acknowledged_is_lost(
        acts in proptest::collection::vec(act(), 1..60)
    ) {
        let mut world = World::new(REGIONS);
        let mut told = Told::default();
        world.greet();
        world.ask(0, 1, create(group(0), 1_000, &[1, 2])).unwrap();
        for act in &acts {
            perform(&mut world, &mut told, act);
        }
        world.calm();
        check(&world, &told);
    }
}
