//! Compiles the client protocol's schema with protox, with its canonical JSON mapping beside it.
//!
//! Unknown JSON fields are ignored, as unknown Protocol Buffers fields are: a client of a later minor version is understood, and a
//! frame that this version does not know comes out empty, so that it can be refused by name.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/archipelago.proto"], ["proto"])?;
    let encoded = prost_encode(&files);
    // As large as no other frame, and rare.
    let mut config = prost_build::Config::new();
    config.boxed(".archipelago.v1.ServerFrame.frame.document");
    config.boxed(".archipelago.v1.ClientFrame.frame.edit_document");
    config.bytes(["."]).compile_fds(files)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .ignore_unknown_fields()
        .build(&[".archipelago.v1"])?;
    Ok(())
}

fn prost_encode(files: &impl prost::Message) -> Vec<u8> {
    files.encode_to_vec()
}
