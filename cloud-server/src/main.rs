//! The `cloud-server` program: arguments, log and exit status.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use cloud_server::{Args, LogWriter, Shutdown};

/// Exit status of a server that could not start.
const CANNOT_START: u8 = 2;
/// Maximum number of log lines waiting to be written to stderr.
const LOG_CAPACITY: usize = 1024;
/// Maximum time to wait for stderr at the end.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    // Must be first, because it restarts the program once.
    if let Err(error) = tandem_generator::llama::passive_threads() {
        report(&format!("could not set OMP_WAIT_POLICY=passive ({error}); starting without it"));
    }
    let args = Args::parse();
    let log = match LogWriter::start(io::stderr(), LOG_CAPACITY) {
        Ok(log) => log,
        Err(error) => {
            report(&format!("cannot create a thread for the log: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "info,actix_server=warn,llama-cpp-2=warn".into()),
        )
        .init();
    // The default hook writes to stderr directly and would block a thread if stderr is blocked.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let result = cloud_server::run(&args);
    log.flush(LOG_PATIENCE);
    let (status, shutdown) = match result {
        Ok(shutdown) => (0, shutdown),
        Err(failure) => {
            report(&failure.error.to_string());
            (CANNOT_START, failure.shutdown)
        }
    };
    match shutdown {
        Shutdown::Complete => ExitCode::from(status),
        Shutdown::GenerationRunning => exit_immediately(status),
    }
}

/// Writes a message to stderr. In contrast to `eprintln`, it does not panic if stderr is closed.
fn report(message: &str) {
    let _ = writeln!(io::stderr(), "cloud-server: {message}");
}

/// Ends the process without running the destructors of C++ statics, which a thread that is
/// still decoding uses.
#[cfg(unix)]
fn exit_immediately(status: u8) -> ExitCode {
    #[expect(unsafe_code, reason = "the standard library has no exit that skips atexit handlers")]
    // SAFETY: `_exit` has no preconditions. Nothing is buffered (stderr is unbuffered) and no
    // file is being written.
    unsafe {
        libc::_exit(i32::from(status))
    }
}

#[cfg(not(unix))]
fn exit_immediately(status: u8) -> ExitCode {
    std::process::exit(i32::from(status))
}
