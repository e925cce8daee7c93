//! Ticks: receipts and stability, forwarded to a device only where they cover messages of its user, and gathered.
//!
//! A group of 1,000 gives a thousand receipts a message. They go only to sessions that posted in the conversation (or were given their
//! user's own posts, or asked for all receipts), whole, and only if what they say about those posts is news; within 250 ms the latest of each register
//! alone is sent.
//!
//! What must always hold: a tick is never sent for what is not covered; a tick that is forgotten at a limit is one that a
//! later one includes, since every tick is a cut.

use crate::limits;
use crate::output::Output;
use crate::write_frame;
use crdt::held::Held;
use crdt::{ConversationId, Cut, DeviceId, Dot, PartitionId, UserId, VersionVector};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame;
use region::item::Item;
use region::read::Receipt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Register = (ConversationId, UserId, DeviceId);

/// What the user did in one conversation.
#[derive(Debug)]
struct Own {
    partition: PartitionId,
    /// Per origin, the last of them.
    posted: Cut,
    /// What of that has been told to be stable.
    told: Cut,
    /// What became stable between the last read and the beginning of the watch has not been heard of.
    unsure: bool,
}

impl Own {
    fn is_told(&self) -> bool {
        self.told.covers_all(&self.posted)
    }
}

/// What is known of the user's own posts, and what waits to be told.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    own: BTreeMap<ConversationId, Own>,
    /// Those of them with something that has not been told to be stable, by partition: nothing else is looked at when more is stable.
    untold: BTreeSet<(PartitionId, ConversationId)>,
    /// The last forwarded value of each register.
    forwarded: BTreeMap<Register, (Cut, Cut)>,
    receipts: BTreeMap<Register, (Cut, Cut)>,
    /// What is to be told to be stable. Kept whole: what is remembered of its partition may be forgotten first.
    stable_due: BTreeMap<ConversationId, Cut>,
    stable: BTreeMap<PartitionId, Arc<VersionVector>>,
}

/// When gathered ticks must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing waits.
    Nothing,
    /// After the usual time.
    Later,
    /// Now: there is no room to gather more.
    Now,
}

impl Ticks {
    /// What is remembered and gathered, beside what may be.
    pub(crate) fn held(&self) -> [Held; 4] {
        [
            Held::new("conversations with ticks", self.own.len(), limits::OWN_CONVERSATIONS_MAX),
            Held::new("receipts remembered", self.forwarded.len(), limits::RECEIPTS_REMEMBERED_MAX),
            Held::new("receipts gathered", self.receipts.len(), limits::RECEIPTS_GATHERED_MAX),
            Held::new("stable cuts remembered", self.stable.len(), limits::STABLE_REMEMBERED_MAX),
        ]
    }

    /// How many conversations with own posts are watched.
    pub(crate) fn watched(&self) -> usize {
        self.own.len()
    }

    /// Something that the user did was delivered to this device.
    pub(crate) fn note_item(
        &mut self,
        user: UserId,
        conversation: ConversationId,
        item: &Item,
        out: &mut Vec<Output>,
    ) {
        if item.sender == user {
            self.note_own(conversation, item.dot, out);
        }
    }

    /// The user did this: posts have receipts, and commands of every kind leave an outbox when they are stable.
    pub(crate) fn note_own(&mut self, conversation: ConversationId, dot: Dot, out: &mut Vec<Output>) {
        self.watch(conversation, &[dot].into_iter().collect(), out);
        let Some(own) = self.own.get(&conversation) else { return };
        if let Some(stable) = self.stable.get(&own.partition)
            && stable.covers(dot)
            && !own.told.covers(dot)
        {
            self.stable_due.entry(conversation).or_default().join(&stable.meet(&own.posted));
        }
    }

    /// From now on ticks of a conversation are forwarded as far as they concern this. A device that was away asks for all receipts, and its
    /// user's posts are somewhere in what it had been given.
    pub(crate) fn watch(&mut self, conversation: ConversationId, concerning: &Cut, out: &mut Vec<Output>) {
        if let Some(own) = self.own.get_mut(&conversation) {
            own.posted.join(concerning);
            if !own.is_told() {
                self.untold.insert((own.partition, conversation));
            }
            return;
        }
        if self.own.len() >= limits::OWN_CONVERSATIONS_MAX
            && let Some(forgotten) = self.missed_least()
        {
            crate::sometimes::TICKS_FORGOTTEN.reach();
            if let Some(own) = self.own.remove(&forgotten) {
                self.untold.remove(&(own.partition, forgotten));
            }
            self.stable_due.remove(&forgotten);
            out.push(Output::WatchTicks { conversation: forgotten, on: false });
        }
        let partition = conversation.partition();
        if !concerning.is_empty() {
            self.untold.insert((partition, conversation));
        }
        self.own.insert(
            conversation,
            Own { partition, posted: concerning.clone(), told: Cut::new(), unsure: true },
        );
        out.push(Output::WatchTicks { conversation, on: true });
    }

    /// The conversation to forget: one of which all has been told to be stable, since only receipts of it are still to come; else one in which nothing has been done yet,
    /// which will be watched again. A command in any other would stay in the device's outbox for as long as the device is connected.
    fn missed_least(&self) -> Option<ConversationId> {
        let told = self.own.iter().find(|(_, own)| own.is_told() && !own.posted.is_empty());
        let idle = || self.own.iter().find(|(_, own)| own.posted.is_empty());
        told.or_else(idle).or_else(|| self.own.first_key_value()).map(|(conversation, _)| *conversation)
    }

    /// Conversations with something of the user's that has not been told to be stable.
    pub(crate) fn untold(&self) -> Vec<ConversationId> {
        self.untold.iter().map(|(_, conversation)| *conversation).collect()
    }

    /// Whether more may have become stable before this conversation was watched than has been heard of; asked once.
    pub(crate) fn take_unsure(&mut self, conversation: ConversationId) -> bool {
        self.own.get_mut(&conversation).is_some_and(|own| std::mem::take(&mut own.unsure))
    }

    /// So much of a partition is stable, as a read showed; the device has been told by the read's own frame.
    pub(crate) fn note_stable(&mut self, partition: PartitionId, cut: Arc<VersionVector>) {
        if self.stable.len() >= limits::STABLE_REMEMBERED_MAX && !self.stable.contains_key(&partition) {
            self.stable.pop_first();
        }
        let known = self.stable.entry(partition).or_default();
        if !known.covers_all(&cut) {
            *known = cut;
        }
    }

    /// More of a partition is stable.
    pub(crate) fn stable(&mut self, partition: PartitionId, cut: &Arc<VersionVector>) -> Due {
        self.note_stable(partition, Arc::clone(cut));
        let first = (partition, ConversationId(0));
        let of_it = self.untold.range(first..).take_while(|(of, _)| *of == partition);
        for (_, conversation) in of_it {
            let Some(own) = self.own.get(conversation) else { continue };
            let stable = cut.meet(&own.posted);
            if !own.told.covers_all(&stable) {
                self.stable_due.entry(*conversation).or_default().join(&stable);
            }
        }
        self.due()
    }

    /// A receipt grew.
    pub(crate) fn receipt(
        &mut self,
        user: UserId,
        (conversation, of, device): Register,
        delivered: &Cut,
        read: &Cut,
    ) -> Due {
        let Some(own) = self.own.get(&conversation) else { return Due::Nothing };
        if of == user {
            return Due::Nothing;
        }
        let news = (delivered.meet(&own.posted), read.meet(&own.posted));
        let register = (conversation, of, device);
        let known = self.receipts.get(&register).or_else(|| self.forwarded.get(&register));
        let covered = known.map_or(news.0.is_empty() && news.1.is_empty(), |(delivered, read)| {
            delivered.covers_all(&news.0) && read.covers_all(&news.1)
        });
        if !covered {
            // Whole: by what else it covers a client tells whether its user can have been shown those posts at all.
            self.receipts.insert(register, (delivered.clone(), read.clone()));
        }
        self.due()
    }

    /// When something must be sent.
    pub(crate) fn due(&self) -> Due {
        if self.receipts.len() >= limits::RECEIPTS_GATHERED_MAX {
            crate::sometimes::TICKS_FULL.reach();
            Due::Now
        } else if self.receipts.is_empty() && self.stable_due.is_empty() {
            Due::Nothing
        } else {
            Due::Later
        }
    }

    /// Sends what was gathered.
    pub(crate) fn flush(&mut self, out: &mut Vec<Output>) {
        let mut frames: BTreeMap<ConversationId, Vec<v1::Receipt>> = BTreeMap::new();
        for (register, (delivered, read)) in std::mem::take(&mut self.receipts) {
            let (conversation, user, device) = register;
            let receipt = Receipt { user, device, delivered: delivered.clone(), read: read.clone() };
            frames.entry(conversation).or_default().push(write_frame::receipt(&receipt));
            if self.forwarded.len() >= limits::RECEIPTS_REMEMBERED_MAX
                && !self.forwarded.contains_key(&register)
            {
                crate::sometimes::RECEIPT_FORGOTTEN.reach();
                self.forwarded.pop_first();
            }
            self.forwarded.insert(register, (delivered, read));
        }
        for (conversation, receipts) in frames {
            for receipts in write_frame::in_frames(receipts) {
                let receipts = v1::Receipts { conversation: conversation.to_string(), receipts, more: false };
                out.push(Output::Send(write_frame::unasked(Frame::Receipts(receipts))));
            }
        }
        for (conversation, cut) in std::mem::take(&mut self.stable_due) {
            let Some(own) = self.own.get_mut(&conversation) else { continue };
            out.push(Output::Send(write_frame::stable(conversation, &cut)));
            own.told.join(&cut);
            if own.is_told() {
                self.untold.remove(&(own.partition, conversation));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Due, Ticks};
    use crate::limits;
    use crate::output::Output;
    use crdt::id::BUCKETS;
    use crdt::{
        Bucket, ConversationId, Cut, DeviceId, Dot, Incarnation, PartitionId, PlacementId, RegionId,
        ReplicaId, Sequence, UserId,
    };
    use gateway_protocol::v1::server_frame::Frame;
    use std::sync::Arc;

    const PLACEMENT: PlacementId = PlacementId(1);

    fn group(number: u128) -> ConversationId {
        ConversationId::group(PLACEMENT, number)
    }

    fn user(number: u64) -> UserId {
        UserId::new(PLACEMENT, number)
    }

    fn dot(sequence: u64) -> Dot {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        Dot { replica, sequence: Sequence(sequence) }
    }

    fn cut(sequence: u64) -> Cut {
        [dot(sequence)].into_iter().collect()
    }

    /// How many receipts, and how many words about stability, are sent when what was gathered goes.
    fn sent(ticks: &mut Ticks) -> (usize, usize) {
        let mut out = Vec::new();
        ticks.flush(&mut out);
        let frames: Vec<&Frame> = out
            .iter()
            .filter_map(|output| match output {
                Output::Send(frame) => frame.frame.as_ref(),
                _ => None,
            })
            .collect();
        let receipts = frames.iter().map(|frame| match frame {
            Frame::Receipts(receipts) => receipts.receipts.len(),
            _ => 0,
        });
        (receipts.sum(), frames.iter().filter(|frame| matches!(frame, Frame::Stable(_))).count())
    }

    fn ticks_of_a_post() -> Ticks {
        let mut ticks = Ticks::default();
        ticks.note_own(group(1), dot(3), &mut Vec::new());
        ticks
    }

    #[test]
    fn a_receipt_is_forwarded_once_and_neither_the_users_own_nor_one_of_what_came_before() {
        let mut ticks = ticks_of_a_post();
        let other = (group(1), user(2), DeviceId(2));
        assert_eq!(
            ticks.receipt(user(1), (group(1), user(1), DeviceId(1)), &cut(3), &Cut::new()),
            Due::Nothing
        );
        assert_eq!(ticks.receipt(user(1), other, &Cut::new(), &Cut::new()), Due::Nothing);
        assert_eq!(ticks.receipt(user(1), other, &cut(3), &Cut::new()), Due::Later);
        assert_eq!(sent(&mut ticks), (1, 0));
        assert_eq!(ticks.receipt(user(1), other, &cut(7), &Cut::new()), Due::Nothing, "no news of that post");
        assert_eq!(ticks.receipt(user(1), other, &cut(7), &cut(7)), Due::Later, "it was read");
        assert_eq!(sent(&mut ticks), (1, 0));
        assert_eq!(ticks.watched(), 1);
        ticks.note_own(group(2), dot(4), &mut Vec::new());
        assert_eq!(ticks.watched(), 2);
    }

    #[test]
    fn as_many_receipts_are_remembered_as_may_be_and_at_the_limit_one_is_forgotten() {
        let mut ticks = ticks_of_a_post();
        let remembered = limits::RECEIPTS_REMEMBERED_MAX as u64;
        let of = |number: u64| (group(1), user(2 + number), DeviceId(number));
        for number in 0..remembered {
            ticks.receipt(user(1), of(number), &cut(3), &Cut::new());
        }
        assert_eq!(ticks.due(), Due::Now, "so many do not wait");
        assert_eq!(sent(&mut ticks).0 as u64, remembered);
        for number in 0..remembered {
            assert_eq!(ticks.receipt(user(1), of(number), &cut(3), &Cut::new()), Due::Nothing, "{number}");
        }
        ticks.receipt(user(1), of(remembered), &cut(3), &Cut::new());
        assert_eq!(sent(&mut ticks).0, 1);
        assert!(ticks.held().iter().all(|held| held.held <= held.limit), "{:?}", ticks.held());
        assert_eq!(
            ticks.receipt(user(1), of(0), &cut(3), &Cut::new()),
            Due::Later,
            "the first was forgotten"
        );
        assert_eq!(ticks.receipt(user(1), of(1), &cut(3), &Cut::new()), Due::Later);
        assert_eq!(sent(&mut ticks).0, 1);
    }

    #[test]
    fn what_was_stable_before_the_answer_is_told_with_it_and_is_never_less_than_it_was() {
        let mut ticks = Ticks::default();
        let partition = group(1).partition();
        ticks.note_stable(partition, Arc::new(cut(5)));
        ticks.note_stable(partition, Arc::new(cut(2)));
        ticks.note_own(group(1), dot(4), &mut Vec::new());
        assert_eq!(ticks.due(), Due::Later);
        assert_eq!(sent(&mut ticks), (0, 1));
        assert_eq!(ticks.untold(), []);
        assert_eq!(ticks.stable(partition, &Arc::new(cut(9))), Due::Nothing, "it has been told");
    }

    #[test]
    fn at_the_limit_a_conversation_is_forgotten_of_which_all_has_been_told_to_be_stable() {
        let mut ticks = Ticks::default();
        let most = limits::OWN_CONVERSATIONS_MAX as u128;
        let (told, waits) = (group(most), group(1));
        for number in 1..most {
            ticks.note_own(group(number), dot(2), &mut Vec::new());
        }
        ticks.note_own(told, dot(1), &mut Vec::new());
        ticks.stable(told.partition(), &Arc::new(cut(1)));
        sent(&mut ticks);
        assert!(!ticks.untold().contains(&told) && ticks.untold().contains(&waits));
        let mut out = Vec::new();
        ticks.note_own(group(most + 1), dot(2), &mut out);
        assert!(matches!(&out[0], Output::WatchTicks { conversation, on: false } if *conversation == told));
        assert!(ticks.untold().contains(&waits));
        // Where nothing has been told, one is forgotten all the same, first one that nothing has been done in.
        let idle = group(most + 2);
        ticks.watch(idle, &Cut::new(), &mut Vec::new());
        let before = ticks.untold().len();
        for number in most + 3..=most + 9 {
            let mut out = Vec::new();
            ticks.note_own(group(number), dot(2), &mut out);
            let is_idle =
                matches!(&out[0], Output::WatchTicks { conversation, on: false } if *conversation == idle);
            assert_eq!(is_idle, number == most + 3);
        }
        assert_eq!(ticks.untold().len(), before + 1);
        assert_eq!(ticks.watched(), limits::OWN_CONVERSATIONS_MAX);
    }

    #[test]
    fn a_device_that_writes_in_many_conversations_before_anything_is_stable_is_told_of_them_all() {
        let mut ticks = Ticks::default();
        for number in 1..=5_000 {
            ticks.watch(group(number), &Cut::new(), &mut Vec::new());
            ticks.note_own(group(number), dot(1), &mut Vec::new());
        }
        assert_eq!(ticks.untold().len(), 5_000);
        for bucket in 0..BUCKETS {
            let partition = PartitionId { placement: PLACEMENT, bucket: Bucket::new(bucket).unwrap() };
            ticks.stable(partition, &Arc::new(cut(1)));
        }
        assert_eq!(sent(&mut ticks), (0, 5_000));
        assert_eq!(ticks.untold(), []);
        assert_eq!(ticks.watched(), 5_000, "their receipts are still forwarded");
    }

    #[test]
    fn what_is_due_is_told_though_the_cut_of_its_partition_is_forgotten_meanwhile() {
        let mut ticks = ticks_of_a_post();
        assert_eq!(ticks.stable(group(1).partition(), &Arc::new(cut(3))), Due::Later);
        for bucket in 0..BUCKETS {
            let partition = PartitionId { placement: PlacementId(9), bucket: Bucket::new(bucket).unwrap() };
            ticks.note_stable(partition, Arc::new(cut(1)));
        }
        assert_eq!(sent(&mut ticks), (0, 1));
        assert_eq!(ticks.untold(), []);
    }

    #[test]
    fn what_is_stable_is_remembered_of_so_many_partitions_and_news_of_a_known_one_forget_none() {
        let mut ticks = Ticks::default();
        let partitions = limits::STABLE_REMEMBERED_MAX as u16;
        let of = |number: u16| {
            let bucket = Bucket::new(number % BUCKETS).unwrap();
            PartitionId { placement: PlacementId(1 + number / BUCKETS), bucket }
        };
        for number in 0..partitions {
            ticks.note_stable(of(number), Arc::new(cut(1)));
        }
        let remembered = |ticks: &Ticks| ticks.held().map(|held| (held.held, held.limit))[3];
        ticks.note_stable(of(0), Arc::new(cut(2)));
        assert_eq!(remembered(&ticks).0, remembered(&ticks).1);
        ticks.note_stable(of(partitions), Arc::new(cut(1)));
        assert_eq!(remembered(&ticks).0, remembered(&ticks).1);
    }
}
