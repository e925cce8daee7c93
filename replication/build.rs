//! Compiles `proto/bridge.proto` with protox, so that no `protoc` is needed.
//!
//! What must always hold: byte fields become `Bytes`, so that a received body is a slice of its frame and never copied.
//! It touches nothing but the schema and cargo's output folder.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/bridge.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
