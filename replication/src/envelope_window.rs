//! Envelopes told by what differs from one shortly before them.
//!
//! Envelopes of a conversation are alike in place and in most of their bytes: the conversation, the high bytes of times, the tags, and of the few who talk at a time the
//! sender. So an envelope is given as the number of an earlier one and runs: so many bytes as there, so many new ones, and so on. What the bytes mean is not
//! known here.
//!
//! What must always hold: both ends remember the same envelopes, in the same order; unpacking is total: whatever does not come out at exactly the announced
//! length is refused.

use crate::entry_codec::number;
use bytes::{Buf as _, Bytes};
use prost::encoding::encode_varint;
use std::collections::VecDeque;

/// Envelopes remembered a stream: as many as talk at a time in a lively conversation. An older one is forgotten, and costs its bytes again.
const REMEMBERED_MAX: usize = 8;

/// Equal bytes in a row below which naming them costs more than sending them.
const EQUAL_MIN: usize = 3;

/// The last envelopes of a stream, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EnvelopeWindow(VecDeque<Bytes>);

/// So many bytes as in the earlier envelope, then so many new ones.
type Run = (usize, usize);

impl EnvelopeWindow {
    /// The next envelope can be told by this one.
    pub(crate) fn remember(&mut self, envelope: Bytes) {
        self.0.truncate(REMEMBERED_MAX - 1);
        self.0.push_front(envelope);
    }

    /// Writes which earlier envelope it is told by (0: none) and the runs, and the new bytes.
    pub(crate) fn pack(&self, envelope: &[u8], shapes: &mut Vec<u8>, data: &mut Vec<u8>) {
        let mut best = (0, vec![(0, envelope.len())], envelope.len());
        for (earlier, number) in self.0.iter().zip(1_u64..) {
            let runs = runs(earlier, envelope);
            let bytes = runs.iter().map(|(_, new)| new + 2).sum();
            if bytes < best.2 {
                best = (number, runs, bytes);
            }
        }
        let (number, runs, _) = best;
        encode_varint(number, shapes);
        let mut at = 0;
        for (equal, new) in runs {
            if number > 0 {
                encode_varint(equal as u64, shapes);
                encode_varint(new as u64, shapes);
            }
            // Runs cover the envelope from its beginning to its end.
            data.extend_from_slice(&envelope[at + equal..at + equal + new]);
            at += equal + new;
        }
    }

    /// Appends the envelope of `length` bytes that was packed; none if there is no such one.
    pub(crate) fn unpack(
        &self,
        length: usize,
        shapes: &mut &[u8],
        data: &mut Bytes,
        envelope: &mut Vec<u8>,
    ) -> Option<()> {
        let Some(earlier) = number(shapes)?.checked_sub(1) else {
            return take(length, data, envelope);
        };
        let earlier = self.0.get(earlier)?;
        while envelope.len() < length {
            let (equal, new) = (number(shapes)?, number(shapes)?);
            if equal.checked_add(new)? == 0 || equal.checked_add(new)? > length - envelope.len() {
                return None;
            }
            let at = envelope.len();
            envelope.extend_from_slice(earlier.get(at..at + equal)?);
            take(new, data, envelope)?;
        }
        Some(())
    }
}

fn take(count: usize, data: &mut Bytes, envelope: &mut Vec<u8>) -> Option<()> {
    envelope.extend_from_slice(data.get(..count)?);
    data.advance(count);
    Some(())
}

/// What of an envelope is as in an earlier one, at the same places.
fn runs(earlier: &[u8], envelope: &[u8]) -> Vec<Run> {
    let equal_at = |at: usize| {
        let pairs = earlier.iter().skip(at).zip(envelope.iter().skip(at));
        pairs.take_while(|(one, other)| one == other).count()
    };
    let mut runs = Vec::new();
    let mut at = 0;
    while at < envelope.len() {
        let equal = equal_at(at);
        let begun = at + equal;
        at = begun;
        while at < envelope.len() && equal_at(at) < EQUAL_MIN {
            at += 1;
        }
        runs.push((equal, at - begun));
    }
    runs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(window: &EnvelopeWindow, length: usize, shapes: &[u8], data: Vec<u8>) -> Option<Vec<u8>> {
        let (mut shapes, mut data, mut envelope) = (shapes, Bytes::from(data), Vec::new());
        window.unpack(length, &mut shapes, &mut data, &mut envelope)?;
        (shapes.is_empty() && data.is_empty()).then_some(envelope)
    }

    proptest! {
        #[test]
        fn an_envelope_comes_out_as_it_went_in(
            earlier in proptest::collection::vec(proptest::collection::vec(0_u8..3, 0..60), 0..12),
            envelope in proptest::collection::vec(0_u8..3, 0..60),
        ) {
            let mut window = EnvelopeWindow::default();
            earlier.into_iter().for_each(|envelope| window.remember(envelope.into()));
            let (mut shapes, mut data) = (vec![], vec![]);
            window.pack(&envelope, &mut shapes, &mut data);
            prop_assert!(shapes.len() + data.len() <= envelope.len() + 1, "never more than its own bytes");
            prop_assert_eq!(unpacked(&window, envelope.len(), &shapes, data), Some(envelope));
        }

        #[test]
        fn whatever_is_unpacked_has_the_announced_length_or_is_refused(
            length in 0_usize..100,
            shapes in proptest::collection::vec(any::<u8>(), 0..12),
            data in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut window = EnvelopeWindow::default();
            window.remember(Bytes::from(vec![7; 40]));
            if let Some(envelope) = unpacked(&window, length, &shapes, data) {
                prop_assert_eq!(envelope.len(), length);
            }
        }
    }

    #[test]
    fn who_speaks_again_after_others_is_told_by_what_they_said_before() {
        let envelope = |sender: u8, time: u8| [vec![9; 20], vec![time], vec![sender; 8]].concat();
        let mut window = EnvelopeWindow::default();
        for sender in 1..=3 {
            window.remember(envelope(sender, sender).into());
        }
        let (mut shapes, mut data) = (vec![], vec![]);
        window.pack(&envelope(1, 200), &mut shapes, &mut data);
        assert_eq!((shapes, data), (vec![3, 20, 1, 8, 0], vec![200]));
    }
}
