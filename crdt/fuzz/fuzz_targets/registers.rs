//! Any bytes for the decoders of `registers`: see `crdt/tests/decoder_checks.rs` for what must hold of them.
//!
//! `cargo +nightly fuzz run registers` in `crdt` (`crdt/fuzz/README.md`).

#![no_main]
#![allow(dead_code, clippy::unwrap_used, reason = "a check that fails panics: that is what is looked for")]

#[path = "../../tests/decoder_checks.rs"]
mod decoder_checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoder_checks::registers(bytes));
