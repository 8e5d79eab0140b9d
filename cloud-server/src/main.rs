//! The `cloud-server` program: arguments, exit status, and nothing else.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use cloud_server::{Args, Stopped};

/// Exit status of a server that could not start.
const CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    // First of all: it starts the program anew, once.
    if let Err(error) = tandem_generator::llama::passive_threads() {
        eprintln!("cloud-server: OMP_WAIT_POLICY=passive could not be set ({error}): going on");
    }
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,actix_server=warn,llama-cpp-2=warn".into()),
        )
        .init();
    let (status, stopped) = match cloud_server::run(&args) {
        Ok(stopped) => (0, stopped),
        Err(failure) => {
            eprintln!("cloud-server: {}", failure.error);
            (CANNOT_START, failure.stopped)
        }
    };
    match stopped {
        Stopped::Cleanly => ExitCode::from(status),
        Stopped::MidGeneration => leave_at_once(status),
    }
}

/// Ends the process without running destructors of C++ statics: a thread that still
/// decodes would read them while they are torn down.
#[cfg(unix)]
fn leave_at_once(status: u8) -> ExitCode {
    #[expect(unsafe_code, reason = "the standard library has no exit that skips atexit handlers")]
    // SAFETY: `_exit` has no preconditions; nothing is buffered that must be written
    // (stderr is unbuffered) and no file is being written at this point.
    unsafe {
        libc::_exit(i32::from(status))
    }
}

#[cfg(not(unix))]
fn leave_at_once(status: u8) -> ExitCode {
    std::process::exit(i32::from(status))
}
