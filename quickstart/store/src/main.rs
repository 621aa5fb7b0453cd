//! The store as a program of its own; prints one line with its address when it is ready.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use quickstart_serving::Program;
use quickstart_store::{StoreConfig, StoreIntegrity, serve};

/// An S3 store over a local directory.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory that holds the buckets
    #[arg(long)]
    root: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Access key, as ID:SECRET; may be given several times
    #[arg(long = "access-key", value_parser = access_key, required = true)]
    access_keys: Vec<(String, String)>,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// What is done with checksums; the weaker levels imitate older stores
    #[arg(long, value_enum, default_value = "full")]
    integrity: Integrity,
    /// Sync every write to disk before it is acknowledged
    #[arg(long)]
    sync: bool,
    /// Smallest part that may be followed by another, in bytes
    #[arg(long, default_value_t = 5 * 1024 * 1024)]
    part_size_min: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Integrity {
    Full,
    NoCrc64Nvme,
    Md5Only,
    None,
}

fn access_key(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
            Ok((id.to_owned(), secret.to_owned()))
        }
        _ => Err("expected ID:SECRET".to_owned()),
    }
}

impl Arguments {
    fn config(self) -> StoreConfig {
        StoreConfig {
            access_keys: self.access_keys,
            region: self.region,
            integrity: match self.integrity {
                Integrity::Full => StoreIntegrity::Full,
                Integrity::NoCrc64Nvme => StoreIntegrity::NoCrc64Nvme,
                Integrity::Md5Only => StoreIntegrity::Md5Only,
                Integrity::None => StoreIntegrity::None,
            },
            sync: self.sync,
            part_size_min: self.part_size_min,
            ..StoreConfig::new(self.root)
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let program = Program {
        listen: arguments.listen,
        scheme: "http://",
        filter: "warn,s3s=off",
    };
    let config = arguments.config();
    program
        .run(|listener, shutdown| serve(listener, config, None, shutdown))
        .await
}
