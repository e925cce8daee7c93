//! Compiles `proto/*.proto` with protox, so that no `protoc` is needed.
//!
//! What must always hold: the schema in the folder is the only source of the generated code, which is never committed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/operation.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
