//! What must be true of every replay, one file a property, judged from the evidence alone.
//!
//! What must always hold: a verdict counts everything it looked at, so that one that looked at nothing is not mistaken for a good one;
//! and for each verdict a test plants that very fault into good evidence and sees it reported by name.

mod admins_disagree;
mod before_its_cause;
mod causally_inconsistent;
mod diverged_partitions;
mod happened_before;
mod look_disagreements;
mod lost;
mod order_disagreements;
mod out_of_order;
mod pinned_bytes_outside;
mod receipt_without_message;
mod session_guarantees;
mod shown_twice;

use crate::evidence::{DeviceNumber, Evidence, MessageFacts, RegionNumber};
use crate::limits::VIOLATIONS_LISTED_MAX;
use crdt::{ConversationId, DeviceId, MessageId};

/// A property, under the name that reports give its violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// An acknowledged message is missing.
    Lost,
    /// A message was shown more than once, or one that nobody sent.
    ShownTwice,
    /// A message was shown before what its author had seen.
    BeforeItsCause,
    /// One sender's messages were shown out of the order sent.
    OutOfOrder,
    /// Two devices show the same messages in different orders.
    OrderDisagreements,
    /// A receipt for a message that the device had not been shown.
    ReceiptWithoutMessage,
    /// Two regions hold different states.
    DivergedPartitions,
    /// Bytes of a pinned conversation outside its placement.
    PinnedBytesOutside,
    /// A session guarantee does not hold on a device.
    SessionGuarantees,
    /// Clients saw what no causal order allows.
    CausallyInconsistent,
    /// Two devices show a message differently.
    LookDisagreements,
    /// Two devices are told of different admins.
    AdminsDisagree,
}

/// One breach of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which.
    pub verdict: Verdict,
    /// In which conversation.
    pub conversation: Option<ConversationId>,
    /// About which message.
    pub message: Option<MessageId>,
    /// On which device.
    pub device: Option<DeviceId>,
    /// In or from which region.
    pub region: Option<RegionNumber>,
    /// What happened, in a sentence.
    pub what: String,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Which property.
    pub verdict: Verdict,
    /// How many things it looked at.
    pub checked: u64,
    /// How many breaches it found.
    pub count: u64,
    /// The first of them, up to [`VIOLATIONS_LISTED_MAX`].
    pub violations: Vec<Violation>,
}

/// One property, looked for in all the evidence.
type Check = fn(&Evidence, &mut Findings);

/// Judges everything, in the order of [`Verdict`].
#[must_use]
pub fn judge(evidence: &Evidence) -> Vec<Findings> {
    let checks: [(Verdict, Check); 12] = [
        (Verdict::Lost, lost::check),
        (Verdict::ShownTwice, shown_twice::check),
        (Verdict::BeforeItsCause, before_its_cause::check),
        (Verdict::OutOfOrder, out_of_order::check),
        (Verdict::OrderDisagreements, order_disagreements::check),
        (Verdict::ReceiptWithoutMessage, receipt_without_message::check),
        (Verdict::DivergedPartitions, diverged_partitions::check),
        (Verdict::PinnedBytesOutside, pinned_bytes_outside::check),
        (Verdict::SessionGuarantees, session_guarantees::check),
        (Verdict::CausallyInconsistent, causally_inconsistent::check),
        (Verdict::LookDisagreements, look_disagreements::check),
        (Verdict::AdminsDisagree, admins_disagree::check),
    ];
    let run = |(verdict, check): (Verdict, Check)| {
        let mut findings = Findings { verdict, checked: 0, count: 0, violations: vec![] };
        check(evidence, &mut findings);
        findings
    };
    checks.into_iter().map(run).collect()
}

impl Verdict {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::ShownTwice => "shown_twice",
            Self::BeforeItsCause => "before_its_cause",
            Self::OutOfOrder => "out_of_order",
            Self::OrderDisagreements => "order_disagreements",
            Self::ReceiptWithoutMessage => "receipt_without_message",
            Self::DivergedPartitions => "diverged_partitions",
            Self::PinnedBytesOutside => "pinned_bytes_outside",
            Self::SessionGuarantees => "session_guarantees",
            Self::CausallyInconsistent => "causally_inconsistent",
            Self::LookDisagreements => "look_disagreements",
            Self::AdminsDisagree => "admins_disagree",
        }
    }

    /// What a newcomer should know it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Lost => "acknowledged messages that are missing somewhere",
            Self::ShownTwice => "messages shown more than once, or never sent",
            Self::BeforeItsCause => "messages shown before something their author had seen",
            Self::OutOfOrder => "messages of one sender shown out of the order sent",
            Self::OrderDisagreements => "screens that show the same messages in another order",
            Self::ReceiptWithoutMessage => "receipts for messages the device did not have",
            Self::DivergedPartitions => "places where two regions hold different states",
            Self::PinnedBytesOutside => "bytes of a pinned conversation outside its placement",
            Self::SessionGuarantees => "reads and writes of a device that its next ones contradict",
            Self::CausallyInconsistent => {
                "messages seen before what happened before them, through whatever hands"
            }
            Self::LookDisagreements => {
                "messages that look different on two screens: edited, deleted, reacted to"
            }
            Self::AdminsDisagree => "devices that are told of other admins than the rest",
        }
    }
}

impl Findings {
    fn looked_at(&mut self, things: u64) {
        self.checked += things;
    }

    fn breach(&mut self, violation: impl FnOnce(Verdict) -> Violation) {
        self.count += 1;
        if self.violations.len() < VIOLATIONS_LISTED_MAX {
            self.violations.push(violation(self.verdict));
        }
    }

    /// A breach about a message on a device.
    fn on_device(
        &mut self,
        evidence: &Evidence,
        conversation: ConversationId,
        message: &MessageFacts,
        device: DeviceNumber,
        what: impl FnOnce() -> String,
    ) {
        let facts = &evidence.devices[device];
        self.breach(|verdict| Violation {
            verdict,
            conversation: Some(conversation),
            message: Some(message.message),
            device: Some(facts.device),
            region: Some(facts.home),
            what: what(),
        });
    }
}
