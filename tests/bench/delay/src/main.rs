//! A TCP proxy that adds a delay in each direction and limits nothing else, for kernels without
//! netem. Threads and not tokio: tokio's timer counts whole milliseconds.

mod line;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use line::Line;

/// What one read takes at most, in bytes.
const CHUNK: usize = 1024 * 1024;
/// What is on its way in one direction of one connection at most, in bytes.
const ON_THE_WAY_MAX: usize = 64 * CHUNK;

/// A TCP proxy that adds a delay. Prints `listening` when it is ready.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Microseconds to add in each direction: half of the round trip that is added.
    #[arg(long)]
    microseconds: u64,
    /// Where to listen, and where that leads: LISTEN=TARGET, both with ports.
    #[arg(long = "forward", required = true, value_parser = forward)]
    forwards: Vec<Forward>,
}

#[derive(Debug, Clone, Copy)]
struct Forward {
    listen: SocketAddr,
    target: SocketAddr,
}

fn forward(text: &str) -> Result<Forward, String> {
    let (listen, target) = text.split_once('=').ok_or("expected LISTEN=TARGET")?;
    let address = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok(Forward {
        listen: address(listen)?,
        target: address(target)?,
    })
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-delay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> io::Result<()> {
    let delay = Duration::from_micros(arguments.microseconds);
    let bound = arguments.forwards.iter().map(|forward| {
        let listener = TcpListener::bind(forward.listen)?;
        Ok((listener, forward.target))
    });
    let bound: Vec<_> = bound.collect::<io::Result<_>>()?;
    println!("listening");
    thread::scope(|scope| {
        for (listener, target) in &bound {
            scope.spawn(move || accept(listener, *target, delay));
        }
    });
    Ok(())
}

fn accept(listener: &TcpListener, target: SocketAddr, delay: Duration) {
    thread::scope(|scope| {
        for near in listener.incoming() {
            scope.spawn(move || {
                if let Err(error) = near.and_then(|near| join(&near, target, delay)) {
                    eprintln!("bench-delay: {target}: {error}");
                }
            });
        }
    });
}

/// Carries one connection until both directions have ended.
fn join(near: &TcpStream, target: SocketAddr, delay: Duration) -> io::Result<()> {
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (there, back) = (
        Line::new(delay, ON_THE_WAY_MAX),
        Line::new(delay, ON_THE_WAY_MAX),
    );
    let far = &far;
    thread::scope(|scope| {
        for (from, to, line) in [(near, far, &there), (far, near, &back)] {
            scope.spawn(move || take_in(from, line));
            scope.spawn(move || give_out(to, line));
        }
    });
    Ok(())
}

/// A connection that breaks off ends for the other side too.
fn take_in(mut from: &TcpStream, line: &Line) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !line.send(Instant::now(), buffer[..count].to_vec()) {
            break;
        }
    }
    line.sender_gone();
}

fn give_out(mut to: &TcpStream, line: &Line) {
    while let Some((due, bytes)) = line.take() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    line.receiver_gone();
    // It may be closed already.
    to.shutdown(Shutdown::Write).ok();
}
