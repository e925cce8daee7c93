//! Whoever means a document ill: bytes that are no change, changes that break the schema, and regions that issue what no region should.
//!
//! What must always hold: nothing of it panics or costs more than its bytes, every region keeps out the same, in whatever order it comes, and what stands after it
//! is a document that Automerge loads.

use crate::decoder_checks::whole;
use crate::world::{Issued, Region, USER, name, replica};
use automerge::legacy::{ElementId, Key, ObjectId, OpId, OpType};
use automerge::transaction::Transactable;
use automerge::{ActorId, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue};
use documents::{Change, Document, Edit, Malformed, NotTaken, Part, Schema, Taken};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::Index;
use proptest::test_runner::Config;

/// A change with some of everything in it.
fn rich() -> (Region, Vec<u8>) {
    let mut one = Region::new(1, Schema::Conversation);
    one.edit(&[name("Sailing"), Edit::Describe("to the islands".into())]);
    let mut automerge = one.automerge(1);
    let (_, description) = automerge.get(ROOT, "description").unwrap().unwrap();
    let (_, pinned) = automerge.get(ROOT, "pinned").unwrap().unwrap();
    automerge.put(ROOT, "name", "Rowing").unwrap();
    automerge.delete(ROOT, "name").unwrap();
    automerge.put(&pinned, "m", true).unwrap();
    automerge.splice_text(&description, 3, 4, "🙂 é").unwrap();
    automerge.commit();
    let bytes = automerge.get_last_local_change().unwrap().raw_bytes().to_vec();
    (one, bytes)
}

fn body_of(bytes: &[u8]) -> Vec<u8> {
    let head = if bytes[9] & 0x80 == 0 { 10 } else { 11 };
    bytes[head..].to_vec()
}

proptest! {
    #![proptest_config(Config::with_cases(1_000))]
    #[test]
    fn bytes_of_any_kind_are_refused_or_stand_and_never_more(
        edits in vec((any::<Index>(), any::<u8>(), 0_u8..3), 1..4), wild in vec(any::<u8>(), 0..80),
    ) {
        let (mut one, bytes) = rich();
        let mut body = body_of(&bytes);
        for (at, byte, how) in edits {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => { body.remove(at); }
            }
        }
        for bytes in [whole(&body), body, wild.clone(), whole(&wild)] {
            if let Ok((change, _)) = Change::read(&bytes, Schema::Conversation) {
                prop_assert_eq!(change.write().0, bytes.clone());
            }
            one.take((one.replica, USER, bytes));
            one.agrees();
        }
    }

    #[test]
    fn bytes_of_any_kind_are_a_document_or_damaged(edits in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = rich().0.document.encode();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Document::decode(&bytes);
    }
}

#[test]
fn what_inflates_beyond_a_change_is_not_inflated() {
    let inflated = vec![0_u8; 1 << 28];
    let small = miniz_oxide::deflate::compress_to_vec(&inflated[..1 << 24], 9);
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 2];
    let mut length = small.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(&small);
    assert_eq!(Change::read(&bytes, Schema::Conversation).unwrap_err(), Malformed::NotAChange);
}

/// What a schema does not have, each made by an Automerge that loaded the document.
#[test]
fn nothing_is_made_or_removed_that_the_schema_has() {
    type Act = fn(&mut automerge::AutoCommit);
    fn of(automerge: &automerge::AutoCommit, key: &str) -> automerge::ObjId {
        automerge.get(ROOT, key).unwrap().unwrap().1
    }
    let acts: [(&str, Act); 10] = [
        ("a list", |automerge| drop(automerge.put_object(ROOT, "name", ObjType::List).unwrap())),
        ("a text as name", |automerge| drop(automerge.put_object(ROOT, "name", ObjType::Text).unwrap())),
        ("another description", |automerge| {
            drop(automerge.put_object(ROOT, "description", ObjType::Text).unwrap());
        }),
        ("a scalar as description", |automerge| automerge.put(ROOT, "description", "x").unwrap()),
        ("no pinned", |automerge| automerge.delete(ROOT, "pinned").unwrap()),
        ("another key", |automerge| automerge.put(ROOT, "topic", "x").unwrap()),
        ("a map within", |automerge| {
            let settings = of(automerge, "settings");
            automerge.put_object(&settings, "more", ObjType::Map).unwrap();
        }),
        ("a counter", |automerge| automerge.put(ROOT, "name", ScalarValue::counter(1)).unwrap()),
        ("a fraction", |automerge| automerge.put(ROOT, "name", 0.5).unwrap()),
        ("a mark", |automerge| {
            let description = of(automerge, "description");
            automerge.splice_text(&description, 0, 0, "abc").unwrap();
            let mark = automerge::marks::Mark::new("bold".into(), true, 0, 2);
            automerge.mark(&description, mark, automerge::marks::ExpandMark::None).unwrap();
        }),
    ];
    for (what, act) in acts {
        let mut one = Region::new(1, Schema::Conversation);
        let mut automerge = one.automerge(1);
        act(&mut automerge);
        automerge.commit();
        let bytes = automerge.get_last_local_change().unwrap().bytes().into_owned();
        let taken = one.take((one.replica, USER, bytes));
        assert!(
            matches!(taken, Taken::Refused(NotTaken::Malformed(Malformed::Schema | Malformed::NotCanonical))),
            "{what}: {taken:?}"
        );
        assert_eq!(one.document.changes(), 0);
    }
}

/// How a change is made into one that no region and no Automerge makes.
#[derive(Debug, Clone)]
enum Twist {
    None,
    Sequence(i64),
    Start(i64),
    NoDependencies,
    Dependency([u8; 32]),
    DependsOnAnother(Index),
    Actor(u16),
    Element(Index, u64, u16),
    Replaces(Index, u64, u16),
    Object(Index, u64),
    Key(Index, String),
    Value(Index, i64),
    Twice,
}

fn twists() -> impl Strategy<Value = Twist> {
    prop_oneof![
        4 => Just(Twist::None),
        1 => (-2_i64..3).prop_map(Twist::Sequence),
        1 => (-9_i64..9).prop_map(Twist::Start),
        1 => Just(Twist::NoDependencies),
        1 => any::<[u8; 32]>().prop_map(Twist::Dependency),
        2 => any::<Index>().prop_map(Twist::DependsOnAnother),
        1 => (1_u16..4).prop_map(Twist::Actor),
        2 => (any::<Index>(), 0_u64..12, 1_u16..4).prop_map(|(at, counter, of)| Twist::Element(at, counter, of)),
        2 => (any::<Index>(), 0_u64..12, 1_u16..4).prop_map(|(at, counter, of)| Twist::Replaces(at, counter, of)),
        1 => (any::<Index>(), 0_u64..6).prop_map(|(at, child)| Twist::Object(at, child)),
        1 => (any::<Index>(), "name|icon|topic|").prop_map(|(at, key)| Twist::Key(at, key)),
        1 => (any::<Index>(), any::<i64>()).prop_map(|(at, value)| Twist::Value(at, value)),
        1 => Just(Twist::Twice),
    ]
}

fn actor(region: u16) -> ActorId {
    ActorId::from(documents::Actor::of_region(replica(region)).as_bytes())
}

fn twist(bytes: &[u8], twist: &Twist, all: &[Issued]) -> Vec<u8> {
    let change = automerge::Change::from_bytes(bytes.to_vec()).unwrap();
    let mut change: ExpandedChange = change.decode();
    let count = change.operations.len();
    match twist {
        Twist::None | Twist::Twice => return bytes.to_vec(),
        Twist::Sequence(by) => change.seq = change.seq.saturating_add_signed(*by),
        Twist::Start(by) => {
            change.start_op = change.start_op.get().saturating_add_signed(*by).max(1).try_into().unwrap();
        }
        Twist::NoDependencies => change.deps.clear(),
        Twist::Dependency(hash) => change.deps.push(automerge::ChangeHash(*hash)),
        Twist::DependsOnAnother(which) if !all.is_empty() => {
            if let Ok((_, hash)) = Change::read(&which.get(all).2, Schema::Conversation) {
                change.deps = vec![automerge::ChangeHash(hash.0)];
            }
        }
        Twist::DependsOnAnother(_) => {}
        Twist::Actor(of) => change.actor_id = actor(*of),
        Twist::Element(at, counter, of) => {
            let element =
                if *counter == 0 { ElementId::Head } else { ElementId::Id(OpId(*counter, actor(*of))) };
            change.operations[at.index(count)].key = Key::Seq(element);
        }
        Twist::Replaces(at, counter, of) => {
            change.operations[at.index(count)].pred = vec![OpId(*counter, actor(*of))].into();
        }
        Twist::Object(at, child) => {
            let id = OpId(*child, ActorId::from(&[0_u8; 16][..]));
            change.operations[at.index(count)].obj =
                if *child == 0 { ObjectId::Root } else { ObjectId::Id(id) };
        }
        Twist::Key(at, key) => change.operations[at.index(count)].key = Key::Map(key.as_str().into()),
        Twist::Value(at, value) => {
            change.operations[at.index(count)].action = OpType::Put(ScalarValue::Int(*value));
        }
    }
    automerge::Change::from(change).raw_bytes().to_vec()
}

proptest! {
    #![proptest_config(Config::with_cases(300))]
    /// Region 3 issues whatever it likes; regions 1 and 2 are honest and take all logs, each in its own order.
    #[test]
    fn every_region_keeps_out_the_same(
        steps in vec((0_usize..3, 0_u8..5, twists(), any::<Index>()), 1..20), orders in vec(any::<Index>(), 60),
    ) {
        let mut regions: Vec<Region> = (1..4).map(|region| Region::new(region, Schema::Conversation)).collect();
        let mut hostile: Vec<Issued> = Vec::new();
        for (who, what, how, other) in steps {
            let edit = match what {
                0 => name("a"),
                1 => name("b"),
                2 => Edit::Describe("abcd".into()),
                3 => Edit::Describe("ad".into()),
                _ => Edit::Mark { part: Part::Pinned, key: "m".into() },
            };
            if who < 2 {
                regions[who].edit(&[edit]);
                if what == 0 {
                    let from = regions[1 - who].clone();
                    regions[who].sync(&from);
                }
                continue;
            }
            let all: Vec<Issued> = regions.iter().flat_map(|region| region.log.clone()).chain(hostile.clone()).collect();
            let actor = documents::Actor::of_region(regions[2].replica);
            let Ok(change) = regions[2].document.edit(&actor, 1, &[edit]) else { continue };
            let honest = change.write().0;
            let issued = (regions[2].replica, USER, twist(&honest, &how, &all));
            regions[2].take(issued.clone());
            hostile.push(issued.clone());
            if matches!(how, Twist::Twice) {
                regions[2].take(issued.clone());
                hostile.push(issued);
            }
            if what == 1 {
                let from = regions[other.index(2)].clone();
                regions[2].sync(&from);
            }
        }
        // What each of the three has issued, in its order, comes to two others in any order between them: the worst that no log does.
        let logs: Vec<Vec<Issued>> = (1..4)
            .map(|region| {
                let log = &regions[usize::from(region) - 1].log;
                let own = log.iter().filter(|issued| issued.0 == replica(region)).cloned();
                if region == 3 { hostile.clone() } else { own.collect() }
            })
            .collect();
        let merged: Vec<Region> = [&orders[..30], &orders[30..]]
            .iter()
            .map(|order| {
                let mut region = Region::new(9, Schema::Conversation);
                let mut left: Vec<std::vec::IntoIter<Issued>> = logs.iter().map(|log| log.clone().into_iter()).collect();
                let mut picks = order.iter().cycle();
                while left.iter().any(|log| log.len() > 0) {
                    let open: Vec<usize> = (0..3).filter(|at| left[*at].len() > 0).collect();
                    let at = open[picks.next().unwrap().index(open.len())];
                    let issued = left[at].next().unwrap();
                    region.take(issued);
                }
                region
            })
            .collect();
        prop_assert_eq!(merged[0].document.encode(), merged[1].document.encode());
        prop_assert_eq!(&merged[0].document, &merged[1].document);
        prop_assert_eq!(&Document::decode(&merged[0].document.encode()).unwrap(), &merged[0].document);
        merged[0].agrees();
        merged[1].agrees();
    }
}
