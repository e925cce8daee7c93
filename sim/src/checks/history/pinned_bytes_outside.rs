//! No byte of a pinned conversation lies on the disk of a region outside its placement, or is exported by one.
//!
//! Every message of a pinned conversation carries a text that occurs nowhere else; that text and the conversation's id, as
//! bytes and as digits, are looked for in all files of those regions, while they run and after.
//! What it does not catch: bytes that were transformed (compressed as part of something longer, encrypted), bytes that were
//! only in memory or on the wire, and what was deleted between two looks.

use super::{Findings, Violation};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for scan in &evidence.scans {
        findings.looked_at(scan.bytes);
        let name = &evidence.regions[scan.region].name;
        for found in &scan.found {
            findings.breach(|verdict| Violation {
                verdict,
                conversation: Some(found.conversation),
                message: None,
                device: None,
                region: Some(scan.region),
                what: format!("{} lies at byte {} of {} in {name}", found.what, found.offset, found.file),
            });
        }
    }
    for (region, export) in &evidence.exports {
        let facts = &evidence.regions[*region];
        let conversations = export.conversations.keys().chain(export.posts.keys().map(|(id, _, _)| id));
        for conversation in conversations.filter(|id| !facts.placements.contains(&id.placement())) {
            findings.breach(|verdict| Violation {
                verdict,
                conversation: Some(*conversation),
                message: None,
                device: None,
                region: Some(*region),
                what: format!("{} exports a conversation of a placement it has no part in", facts.name),
            });
        }
    }
}
