//! Promise 6: a message has one identity, and however often and wherever it is resent, it appears once, as it was sent.
//!
//! Held on each device at the moment of showing, and in each region at the moment a batch is durable: a dot is one operation for ever, applied once. What this
//! does not see: what an application shows twice by itself.

use super::record::{Facts, Number};
use super::told::Appearance;
use super::{Checker, Fault};
use crdt::RegionId;
use gateway_client::{Content, Place};
use region::item::Item;

/// What is shown is the operation of that dot.
pub(super) fn is_what_was_issued(facts: &Facts, shown: &Appearance<'_>) -> Fault {
    // Numbers are those of the conversation.
    let operation = &facts.operations[shown.number];
    let item = shown.item;
    if (operation.sender, operation.message, operation.place) == (item.sender, item.message, item.place) {
        Ok(())
    } else {
        Err((Checker::Identity, format!("it is {operation:?}")))
    }
}

/// What is shown has the body that its author gave it.
pub(super) fn is_what_was_sent(facts: &Facts, shown: &Appearance<'_>) -> Fault {
    let item = shown.item;
    match (&item.content, facts.sent.get(&(item.sender, item.message))) {
        (Content::Post { body, became, .. }, Some(sent)) if !became.deleted && *body != sent.body => {
            Err((Checker::Identity, "its body is not what was sent".to_owned()))
        }
        (Content::Post { .. }, None) => Err((Checker::Identity, "nobody sent it".to_owned())),
        _ => Ok(()),
    }
}

/// What a region applies is the operation that it was before.
pub(super) fn is_the_same(facts: &Facts, number: usize, item: &Item) -> Fault {
    let place = Place { hlc: item.hlc, dot: item.dot };
    // Numbers are those of the conversation.
    let known = &facts.operations[number];
    if (known.place, known.sender, known.message) == (place, item.sender, item.message) {
        Ok(())
    } else {
        Err((Checker::Identity, format!("that dot is {known:?} as well")))
    }
}

/// A region that has a command under any dot does not do it again, but to put it back where it stood on a disk that was found: what it does by itself always stands above all that it has.
pub(super) fn is_done_once(facts: &Facts, region: RegionId, number: Number) -> Fault {
    match facts.done_before(region, number) {
        Some(before) => {
            Err((Checker::Identity, format!("it had done that already: {}", facts.describe(before))))
        }
        None => Ok(()),
    }
}
