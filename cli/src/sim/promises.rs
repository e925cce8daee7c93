//! The twelve promises in a few words each, as the verdicts of a run name them. `docs/architecture.md` tells them in full.
//!
//! What must always hold: number and words belong together for ever, as the promises do.

/// From promise 1 on.
const WORDS: [&str; 12] = [
    "nothing acknowledged is lost",
    "nothing is visible before it is durable",
    "regions with the same operations hold the same",
    "nothing is shown before its causes",
    "one display order",
    "shown once",
    "available when alone",
    "pinned bytes stay in their placement",
    "member limits hold",
    "revocation wins in the roster",
    "everything is bounded, every queue drains",
    "bad input gets a clear error",
];

/// All promises, by number.
pub(crate) fn all() -> impl Iterator<Item = (u8, &'static str)> {
    (1..).zip(WORDS)
}
