//! In the end every member is told the same of who may change the members.
//!
//! What it does not catch: admins that are wrong everywhere alike, which the worlds of the simulator look at.

use super::{Findings, Violation};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        let mut first = None;
        for (device, track) in &conversation.tracks {
            let Some(admins) = &track.admins else { continue };
            findings.looked_at(1);
            let first = *first.get_or_insert(admins);
            if admins != first {
                let facts = &evidence.devices[*device];
                findings.breach(|verdict| Violation {
                    verdict,
                    conversation: Some(*id),
                    message: None,
                    device: Some(facts.device),
                    region: Some(facts.home),
                    what: format!("is told that {admins:?} are the admins, another one that {first:?} are"),
                });
            }
        }
    }
}
