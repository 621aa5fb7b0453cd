//! Compiles the protocol without a system `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["datasync/agent/v1/agent.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .skip_debug([
            "datasync.agent.v1.AwaitActivationRequest",
            "datasync.agent.v1.ClaimActivationKeyRequest",
            "datasync.agent.v1.ClaimActivationKeyResponse",
            "datasync.agent.v1.Credentials",
            "datasync.agent.v1.RequestActivationKeyResponse",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
