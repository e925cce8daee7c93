//! Random histories of regions and devices, held against Automerge: the same heads, the same values, whatever the order.
//!
//! Automerge is the slow, obvious twin: regions never run it. Devices do, load what a region holds, work apart from it for a while, and hand in what they
//! changed. What must always hold is said in `main.rs`.

use crate::world::{Region, name, text};
use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjId, ROOT, ReadDoc};
use documents::{Document, Edit, Part, Schema};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A region is told by a command.
    Command(usize, Edit),
    /// A device loads the document from a region, changes it in Automerge, and perhaps hands the change in only later.
    Device { region: usize, device: u64, changes: Vec<Stroke>, at_once: bool },
    /// A region takes what another has.
    Sync(usize, usize),
}

/// What somebody does in Automerge.
#[derive(Debug, Clone)]
pub(crate) enum Stroke {
    Name(String),
    Type { at: usize, erases: usize, text: String },
    Pin(u8),
    Unpin(u8),
}

fn edits() -> impl Strategy<Value = Edit> {
    let pin = |key: u8| format!("m{key}");
    prop_oneof![
        "[a-c]{0,3}".prop_map(|of| name(&of)),
        "[a-dé🙂]{0,9}".prop_map(Edit::Describe),
        (0_u8..3).prop_map(move |key| Edit::Mark { part: Part::Pinned, key: pin(key) }),
        (0_u8..3).prop_map(move |key| Edit::Clear { part: Part::Pinned, key: pin(key) }),
        Just(Edit::Clear { part: Part::Root, key: "name".into() }),
        "[xy]{0,2}".prop_map(|of| text(Part::Settings, "s", &of)),
    ]
}

fn strokes() -> impl Strategy<Value = Stroke> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(Stroke::Name),
        (0_usize..12, 0_usize..4, "[a-dé🙂]{0,4}").prop_map(|(at, erases, text)| Stroke::Type {
            at,
            erases,
            text
        }),
        (0_u8..3).prop_map(Stroke::Pin),
        (0_u8..3).prop_map(Stroke::Unpin),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_usize..3, edits()).prop_map(|(region, edit)| Step::Command(region, edit)),
        (0_usize..3, 1_u64..3, vec(strokes(), 1..4), any::<bool>())
            .prop_map(|(region, device, changes, at_once)| Step::Device { region, device, changes, at_once }),
        (0_usize..3, 0_usize..3).prop_map(|(to, from)| Step::Sync(to, from)),
    ];
    vec(step, 1..25)
}

fn apply(automerge: &mut AutoCommit, stroke: &Stroke) {
    let part = |automerge: &AutoCommit, key| -> ObjId { automerge.get(ROOT, key).unwrap().unwrap().1 };
    match stroke {
        Stroke::Name(of) => automerge.put(ROOT, "name", of.as_str()).unwrap(),
        Stroke::Type { at, erases, text } => {
            let description = part(automerge, "description");
            let length = automerge.length(&description);
            let at = (*at).min(length);
            let erases = (*erases).min(length - at);
            automerge.splice_text(&description, at, erases as isize, text).unwrap();
        }
        Stroke::Pin(key) => {
            let pinned = part(automerge, "pinned");
            automerge.put(&pinned, format!("m{key}"), true).unwrap();
        }
        Stroke::Unpin(key) => {
            let pinned = part(automerge, "pinned");
            automerge.delete(&pinned, format!("m{key}")).unwrap();
        }
    }
}

/// Plays that; whatever is not what Automerge makes of it panics. Returns how many changes were made.
pub(crate) fn is_what_automerge_makes_of_it(steps: Vec<Step>) -> usize {
    let mut regions: Vec<Region> = (1..4).map(|region| Region::new(region, Schema::Conversation)).collect();
    let mut offline: Vec<(usize, AutoCommit)> = Vec::new();
    let mut done = 0;
    for step in steps {
        match step {
            Step::Command(region, edit) => {
                regions[region].edit(&[edit]);
                done += 1;
            }
            Step::Device { region, device, changes, at_once } => {
                // A device that has not handed in what it did goes on with that.
                let device = device + 10 * region as u64;
                let held = offline.iter().position(|(at, held)| {
                    *at == region && held.get_actor().to_bytes().last() == Some(&(device as u8))
                });
                let mut automerge = match held {
                    Some(held) => offline.remove(held).1,
                    None => regions[region].automerge(device),
                };
                for stroke in &changes {
                    apply(&mut automerge, stroke);
                    automerge.commit();
                    done += 1;
                }
                if at_once {
                    regions[region].take_from(&mut automerge);
                } else {
                    offline.push((region, automerge));
                }
            }
            Step::Sync(to, from) => {
                let from = regions[from].clone();
                regions[to].sync(&from);
            }
        }
    }
    for (region, mut automerge) in offline {
        regions[region].take_from(&mut automerge);
    }
    for region in &regions {
        region.agrees();
    }
    // Each takes the others' in another order.
    for (to, first, second) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
        for from in [first, second] {
            let from = regions[from].clone();
            regions[to].sync(&from);
        }
    }
    let bytes = regions[0].document.encode();
    for region in &regions {
        region.agrees();
        assert_eq!(region.document, regions[0].document);
        assert_eq!(region.document.encode(), bytes);
        assert_eq!(region.export(), regions[0].export());
    }
    assert_eq!(Document::decode(&bytes).unwrap(), regions[0].document);
    assert_eq!(Document::decode(&bytes).unwrap().encode(), bytes);
    done
}

proptest! {
    #![proptest_config(Config::with_cases(150))]
    #[test]
    fn any_history_is_what_automerge_makes_of_it(steps in steps()) {
        is_what_automerge_makes_of_it(steps);
    }
}
