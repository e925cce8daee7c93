//! Any bytes for the decoders of documents: see `crdt/documents/tests/decoder_checks.rs` for what must hold of them. The first byte says for which.
//!
//! `cargo +nightly fuzz run documents` in `crdt` (`crdt/fuzz/README.md`).

#![no_main]
#![allow(dead_code, clippy::unwrap_used, reason = "a check that fails panics: that is what is looked for")]

#[path = "../../documents/tests/decoder_checks.rs"]
mod decoder_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes {
    [0, bytes @ ..] => decoder_checks::change(bytes),
    [1, bytes @ ..] => decoder_checks::chunk(bytes),
    [_, bytes @ ..] => decoder_checks::document(bytes),
    [] => {}
});
