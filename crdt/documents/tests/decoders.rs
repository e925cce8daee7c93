//! The corpus that fuzzing has left (`crdt/fuzz`), played each time: any bytes are a change or none, a document or none.
//!
//! What must always hold: what `decoder_checks.rs` says of each. The first byte of an input says for which decoder it is, as the fuzz target has it.

use crate::decoder_checks;

#[test]
fn the_corpus_of_the_fuzz_target_passes_its_checks() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/documents");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        #[allow(clippy::disallowed_methods, reason = "a test's own data")]
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        match &bytes[..] {
            [0, bytes @ ..] => decoder_checks::change(bytes),
            [1, bytes @ ..] => decoder_checks::chunk(bytes),
            [_, bytes @ ..] => decoder_checks::document(bytes),
            [] => {}
        }
        inputs += 1;
    }
    assert!(inputs > 0, "there is a corpus");
}
