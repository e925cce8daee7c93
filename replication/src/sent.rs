//! What a bridge has put into frames, by kind: so that a byte can be asked what it was for.
//!
//! What must always hold: every byte of every frame is in exactly one of the kinds; numbers only grow while the bridge lives. They count what was
//! encoded, before the driver's length prefix and QUIC; what was sent twice because a connection broke counts twice.

use crate::entry_codec::operations_in;
use crate::proto;
use crate::send_frame::Filling;
use prost::Message as _;
use prost::encoding::encoded_len_varint;

/// Bytes and items by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Operations with their bodies.
    pub operations: u64,
    /// Bytes of sections and answers that carry them, references apart.
    pub operation_bytes: u64,
    /// Bytes of references to third regions' operations. Those to the receiver's own, which keep positions, count with the operations.
    pub reference_bytes: u64,
    /// Registers.
    pub registers: u64,
    /// Bytes of feeds.
    pub register_bytes: u64,
    /// Bytes of all else: Hello, Resume, requests, probes.
    pub other_bytes: u64,
    /// Frames.
    pub frames: u64,
}

impl Sent {
    /// Counts a frame of so many bytes.
    pub(crate) fn count(&mut self, filling: &Filling, bytes: usize) {
        let frame = &filling.frame;
        let before = self.operation_bytes + self.reference_bytes + self.register_bytes;
        let mut references = filling.reference_bytes;
        for section in &frame.sections {
            let whole = field_bytes(section.encoded_len());
            // A section that carries nothing else is there for its references.
            let alone: usize = if section.steps.iter().any(has_commit) {
                let alone = section.steps.iter().filter(|step| !has_commit(step));
                alone.map(|step| field_bytes(step.encoded_len())).sum()
            } else {
                whole
            };
            references += alone;
            self.operation_bytes += whole as u64;
            self.operations += section.steps.iter().map(operations).sum::<u64>();
        }
        for fetched in &frame.fetched {
            self.operation_bytes += field_bytes(fetched.encoded_len()) as u64;
            self.operations += fetched.commits.iter().map(operations).sum::<u64>();
        }
        self.reference_bytes += references as u64;
        self.operation_bytes -= references as u64;
        for feed in &frame.feeds {
            self.register_bytes += field_bytes(feed.encoded_len()) as u64;
            self.registers += feed.keys.len() as u64;
        }
        let counted = self.operation_bytes + self.reference_bytes + self.register_bytes - before;
        self.other_bytes += (bytes as u64).saturating_sub(counted);
        self.frames += 1;
    }
}

/// A field of so many bytes, with its tag and length.
fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn has_commit(step: &proto::Step) -> bool {
    !step.signature.is_empty()
}

fn operations(step: &proto::Step) -> u64 {
    operations_in(&step.shapes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn every_byte_of_a_frame_has_its_kind() {
        let commit = proto::Step {
            references: Bytes::from_static(&[9, 1, 2, 3, 4]),
            signature: Bytes::from(vec![7; 64]),
            shapes: Bytes::from_static(&[40, 0x80, 8, 0, 20, 3, 2, 4, 1, 5, 0]),
            data: Bytes::from(vec![1; 1_100]),
            ..Default::default()
        };
        let alone = proto::Step { references: Bytes::from_static(&[3]), ..Default::default() };
        let section = |steps| proto::Section { partition: 1_700, from: 0, end: 5, steps };
        let feed = proto::Feed {
            partition: 3,
            through: 9,
            keys: vec![Bytes::from(vec![1; 11])],
            values: vec![Bytes::from(vec![2; 40])],
        };
        let frame = proto::Frame {
            sections: vec![section(vec![commit]), section(vec![alone])],
            feeds: vec![feed.clone()],
            probe: Some(proto::Probe { sent_us: 77 }),
            ..Default::default()
        };
        let bytes = frame.encoded_len();
        let mut sent = Sent::default();
        sent.count(&Filling { frame, bytes, reference_bytes: 5 }, bytes);
        let all = sent.operation_bytes + sent.reference_bytes + sent.register_bytes + sent.other_bytes;
        assert_eq!(all as usize, bytes);
        assert_eq!((sent.operations, sent.registers, sent.frames), (2, 1, 1));
        assert_eq!(sent.register_bytes as usize, 2 + feed.encoded_len());
        assert_eq!(sent.other_bytes as usize, 2 + proto::Probe { sent_us: 77 }.encoded_len());
        // The run of five bytes beside the commit, and the whole section of the other.
        assert_eq!(sent.reference_bytes, 5 + 12);
    }
    #[test]
    fn what_is_sent_again_counts_again_and_fetched_bodies_are_operations() {
        let commit = proto::Step {
            signature: Bytes::from(vec![7; 64]),
            shapes: Bytes::from_static(&[40, 0x80, 8, 0, 20, 3, 2, 4, 1, 5, 0]),
            data: Bytes::from(vec![1; 1_100]),
            ..Default::default()
        };
        let alone = proto::Step { references: Bytes::from_static(&[3, 1, 2]), ..Default::default() };
        let fetched = proto::Fetched { partition: 3, commits: vec![commit.clone()] };
        let feed = proto::Feed {
            partition: 3,
            through: 9,
            keys: vec![Bytes::from(vec![1; 11]); 2],
            values: vec![Bytes::from(vec![2; 40]); 2],
        };
        let frame = proto::Frame {
            // Beside a commit, a step of references alone.
            sections: vec![proto::Section {
                partition: 1,
                from: 0,
                end: 5,
                steps: vec![commit, alone.clone()],
            }],
            fetched: vec![fetched.clone()],
            feeds: vec![feed],
            ..Default::default()
        };
        let bytes = frame.encoded_len();
        let filling = Filling { frame, bytes, reference_bytes: 0 };
        let (mut sent, mut once) = (Sent::default(), None);
        for times in 1..=3 {
            sent.count(&filling, bytes);
            let once = *once.get_or_insert(sent);
            let all = sent.operation_bytes + sent.reference_bytes + sent.register_bytes + sent.other_bytes;
            assert_eq!(all, times * bytes as u64);
            assert_eq!((sent.operations, sent.registers, sent.frames), (4 * times, 2 * times, times));
            assert_eq!(sent.operation_bytes, times * once.operation_bytes);
            assert_eq!(sent.reference_bytes, times * (2 + alone.encoded_len() as u64));
            assert_eq!(sent.register_bytes, times * once.register_bytes);
            assert!(sent.operation_bytes > 2 * times * 1_100 && sent.other_bytes == 0);
        }
        // A length of 128 and more takes two bytes.
        assert_eq!((field_bytes(127), field_bytes(128)), (129, 131));
    }
}
