//! The server as a program of its own; prints one line with its address when it is ready.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quickstart_nas::{SyntheticTree, serve, serve_synthetic};
use quickstart_serving::Program;

/// A read-only NFSv3 server; MOUNT and NFS on one port, mount path /.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory to export
    #[arg(
        long,
        required_unless_present = "synthetic",
        conflicts_with = "synthetic"
    )]
    export: Option<PathBuf>,
    /// Export a made-up tree instead: DIRECTORIES,FILES_PER_DIRECTORY,FILE_SIZE
    #[arg(long, value_parser = synthetic)]
    synthetic: Option<SyntheticTree>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn synthetic(text: &str) -> Result<SyntheticTree, String> {
    let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[directories, files_per_directory, file_size]) => Ok(SyntheticTree {
            directories,
            files_per_directory,
            file_size,
        }),
        _ => Err("expected three numbers: DIRECTORIES,FILES_PER_DIRECTORY,FILE_SIZE".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let program = Program {
        listen: arguments.listen,
        scheme: "",
        filter: "warn,nfs3_server=off",
    };
    program
        .run(|listener, shutdown| async move {
            match (arguments.export, arguments.synthetic) {
                (_, Some(tree)) => serve_synthetic(listener, tree, shutdown).await,
                (Some(export), None) => serve(listener, export, shutdown).await,
                (None, None) => Err(io::Error::other("nothing to export")),
            }
        })
        .await
}
