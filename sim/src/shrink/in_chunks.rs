//! Does something to as many things of a script as possible, while it still fails: to all, to halves, to quarters, down to each alone.
//!
//! What must always hold: each thing is tried alone at last, unless tries run out; what is done is kept only if the script still fails.

use super::Search;
use crate::script::Script;

impl Search<'_> {
    /// Does `change` to as many of those things as possible. Returns whether it was done to any.
    pub(super) fn in_chunks<T: Clone>(
        &mut self,
        mut things: Vec<T>,
        change: impl Fn(&mut Script, &[T]),
    ) -> bool {
        let mut size = things.len();
        let mut any = false;
        while size > 0 && !self.is_over() {
            let mut at = 0;
            while at < things.len() {
                let end = (at + size).min(things.len());
                let mut candidate = self.script.clone();
                // Both ends lie within the list.
                change(&mut candidate, &things[at..end]);
                if self.take(candidate) {
                    things.drain(at..end);
                    any = true;
                } else {
                    at = end;
                }
            }
            size /= 2;
        }
        any
    }
}
