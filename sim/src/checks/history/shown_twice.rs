//! A message, however often it was sent, is shown once on each device, and only if its sender posted it.
//!
//! What it does not catch: two messages with the same text under two ids (that is what their sender asked for).

use super::Findings;
use crate::evidence::{Evidence, What};

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        for (device, track) in &conversation.tracks {
            let mut shown = vec![false; conversation.messages.len()];
            for moment in &track.moments {
                let What::Shown { .. } = moment.what else { continue };
                findings.looked_at(1);
                let message = conversation.message(moment.message);
                if std::mem::replace(&mut shown[moment.message as usize], true) {
                    findings.on_device(evidence, *id, message, *device, || {
                        "the device was shown this message again".to_owned()
                    });
                }
                if message.posted.is_none() {
                    findings.on_device(evidence, *id, message, *device, || {
                        "the device was shown a message that its sender never posted".to_owned()
                    });
                }
            }
        }
    }
}
