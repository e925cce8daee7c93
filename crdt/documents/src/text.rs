//! A text that is edited by character at several places at once: a replicated growable array.
//!
//! What must always hold: an element stays where it was put, right after the one it was put behind and before all with lower ids that were put there
//! too; an erased one keeps its place, since others may be put behind it.
//!
//! Source: Roh et al., "Replicated abstract data types: building blocks for collaborative applications" (2011), as in Automerge.

use crate::change::OperationId;

/// The elements in their order, with those that were erased.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    elements: Vec<Element>,
    /// Where the last operation was: the next one is near it as a rule.
    last: usize,
}

/// One insertion: a character, with its modifiers perhaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) id: OperationId,
    /// None once it is erased.
    pub(crate) text: Option<String>,
}

impl Text {
    pub(crate) const fn of(elements: Vec<Element>) -> Self {
        Self { elements, last: 0 }
    }

    pub(crate) fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Where an element is, looked for from there outwards in both directions.
    pub(crate) fn position(&self, id: &OperationId, near: usize) -> Option<usize> {
        let (before, after) = self.elements.split_at(near.min(self.elements.len()));
        let (before_length, mut backwards) = (before.len(), before.iter().rev().enumerate());
        let mut forwards = after.iter().enumerate();
        loop {
            let (next, previous) = (forwards.next(), backwards.next());
            match (next, previous) {
                (Some((at, element)), _) if element.id == *id => return Some(before_length + at),
                (_, Some((back, element))) if element.id == *id => return Some(before_length - 1 - back),
                (None, None) => return None,
                _ => {}
            }
        }
    }

    /// Where the last operation was.
    pub(crate) const fn last(&self) -> usize {
        self.last
    }

    /// Puts an element behind another that is there, or at the beginning.
    pub(crate) fn insert(&mut self, id: OperationId, after: Option<&OperationId>, text: &str) {
        let from = match after {
            None => 0,
            Some(after) => self.position(after, self.last).map_or(self.elements.len(), |at| at + 1),
        };
        // All with higher ids that follow were put here too, or behind one that was.
        let skipped = self.elements[from..].iter().take_while(|element| element.id > id).count();
        self.last = from + skipped;
        self.elements.insert(self.last, Element { id, text: Some(text.to_owned()) });
    }

    pub(crate) fn erase(&mut self, id: &OperationId) {
        if let Some(at) = self.position(id, self.last) {
            self.elements[at].text = None;
            self.last = at;
        }
    }

    /// What is to be read.
    pub(crate) fn shown(&self) -> String {
        self.elements.iter().filter_map(|element| element.text.as_deref()).collect()
    }
}

/// Equal texts have equal elements, wherever the last operation was.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.elements == other.elements
    }
}

impl Eq for Text {}
