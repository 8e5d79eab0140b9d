//! Tries language models in a process of their own before the server loads them.
//!
//! llama.cpp aborts the process on some files, and the system kills a process that needs too
//! much memory. Checks find the known faults ([`tandem_generator::llama::try_model`] makes them,
//! too); the process holds for the others. It is this program with the subcommand
//! [`SUBCOMMAND`](command::SUBCOMMAND): a program that calls [`run`](crate::run) or
//! [`check`](crate::check) has to pass it to [`TrialCommand`].

mod command;

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_generator::LoadOptions;

use crate::models::ModelFile;
pub use command::{TrialCommand, TrialFailure};

/// Time after which a model that is still loading is refused.
const TRIAL_TIME: Duration = Duration::from_mins(10);
/// Time between two looks at the process.
const POLL: Duration = Duration::from_millis(10);
/// Bytes of the process's output that are read; the rest is dropped.
const MAX_OUTPUT: u64 = 64 << 10;
/// Lines of the process's log that are repeated in the server's.
const MAX_LINES: usize = 20;
/// Maximum length of a message of llama.cpp in an error, in characters.
const MAX_MESSAGE: usize = 300;

/// Why a language model is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The model cannot be used, for the given reason.
    #[error("{0}")]
    Refused(String),
    /// The process ended by itself.
    #[error(
        "loading {} ends the process ({how}{message}); the file is damaged, or llama.cpp does not support it or needs more memory: use another GGUF file",
        path.display()
    )]
    Crashed {
        /// The file.
        path: PathBuf,
        /// Signal or exit status.
        how: String,
        /// The last message of llama.cpp after a colon, or nothing.
        message: String,
    },
    /// Loading does not end.
    #[error("{} was not loaded within {} minutes: use a smaller model or a faster disk", path.display(), TRIAL_TIME.as_secs() / 60)]
    TimedOut {
        /// The file.
        path: PathBuf,
    },
    /// The process cannot be started.
    #[error("cannot start a process to try language models: {0}")]
    Start(#[from] io::Error),
}

/// How a trial ended without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trial {
    /// All models can be loaded.
    Passed,
    /// The caller stopped it.
    Stopped,
}

/// Tries the models one after another, each in a process of its own, on the catalogue of the
/// dataset folder `data`. `wait` waits for a duration and returns whether to continue.
///
/// # Errors
/// [`TrialError`] for the first model that cannot be used.
pub(crate) fn try_models(
    files: &[ModelFile],
    data: &Path,
    options: &LoadOptions,
    wait: &impl Fn(Duration) -> bool,
) -> Result<Trial, TrialError> {
    for ModelFile { path, name } in files {
        tracing::info!(model = name, "trying the language model in a process of its own");
        let mut command = Command::new(program());
        TrialCommand::new(path, data, options).add_to(&mut command);
        if try_in(&mut command, path, wait)? == Trial::Stopped {
            return Ok(Trial::Stopped);
        }
    }
    Ok(Trial::Passed)
}

/// This program. Its file may have been replaced by a newer version meanwhile.
fn program() -> PathBuf {
    let current = Path::new("/proc/self/exe");
    if current.exists() { current.to_owned() } else { std::env::current_exe().unwrap_or_default() }
}

fn try_in(
    command: &mut Command,
    path: &Path,
    wait: &impl Fn(Duration) -> bool,
) -> Result<Trial, TrialError> {
    // The process ends when its input does: it does not outlive the server.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn()?);
    let reason = read(process.0.stdout.take());
    let log = read(process.0.stderr.take());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = process.0.try_wait()? {
            break status;
        }
        if !wait(POLL) {
            return Ok(Trial::Stopped);
        }
        if started.elapsed() > TRIAL_TIME {
            return Err(TrialError::TimedOut { path: path.to_owned() });
        }
    };
    let (reason, log) = (join(reason), join(log));
    if status.success() {
        return Ok(Trial::Passed);
    }
    for line in log.lines().take(MAX_LINES) {
        tracing::warn!(target: "llama-cpp-2", "{line}");
    }
    match reason.lines().next() {
        Some(reason) if status.code() == Some(command::REFUSED) => {
            let cause = cause(&log).map(|cause| format!(" ({cause})")).unwrap_or_default();
            Err(TrialError::Refused(format!("{reason}{cause}")))
        }
        _ => Err(TrialError::Crashed {
            path: path.to_owned(),
            how: describe(status),
            message: last_message(&log).map(|line| format!(": {line}")).unwrap_or_default(),
        }),
    }
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads an output in the background, so that the process never waits for a full pipe.
fn read(output: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut output = output?;
    Some(thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before a failure counts.
        let _ = output.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
        let _ = io::copy(&mut output, &mut io::sink());
        bytes
    }))
}

fn join(output: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = output.and_then(|thread| thread.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "unknown status".to_owned(), |code| format!("status {code}"))
}

/// Why llama.cpp does not load a file, from its log.
fn cause(log: &str) -> Option<String> {
    let line = log.lines().find_map(|line| line.split_once("error loading model: "))?.1;
    Some(printable(line))
}

/// The line that says most about an abort: a failed assertion or an exception, or the last one
/// but hints of Rust.
fn last_message(log: &str) -> Option<String> {
    let is_message = |line: &&str| !line.is_empty() && !line.starts_with("note: ");
    let lines = || log.lines().map(str::trim).filter(is_message);
    let line = lines()
        .rfind(|line| line.contains("GGML_ASSERT") || line.contains("what():"))
        .or_else(|| lines().next_back())?;
    // Assertions begin with the path of a source file.
    let line = line.split_once(": GGML_ASSERT").map_or(line, |_| {
        let start = line.find("GGML_ASSERT").unwrap_or(0);
        &line[start..]
    });
    Some(printable(line))
}

fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

/// Adds an option with its value to a command.
fn option(command: &mut Command, name: &str, value: impl AsRef<OsStr>) {
    command.arg(name).arg(value);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn try_script(script: &str) -> Result<Trial, TrialError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        try_in(&mut command, Path::new("m.gguf"), &|time| {
            thread::sleep(time);
            true
        })
    }

    #[test]
    fn every_end_of_the_process_is_told_apart() {
        assert_eq!(try_script("exit 0").unwrap(), Trial::Passed);
        let refused = try_script("echo the reason; exit 2").unwrap_err();
        assert_eq!(refused.to_string(), "the reason");
        let log = "echo 'x: error loading model: no tensor y' >&2";
        let refused = try_script(&format!("{log}; echo the reason; exit 2")).unwrap_err();
        assert_eq!(refused.to_string(), "the reason (no tensor y)");
        let abort = "echo 'a.cpp:7: GGML_ASSERT(x > 0) failed' >&2; echo trace >&2; kill -ABRT $$";
        let crashed = try_script(abort).unwrap_err().to_string();
        assert!(crashed.contains("loading m.gguf ends the process (signal 6: GGML_ASSERT(x > 0)"));
        let panic = "echo 'it overflows' >&2; echo 'note: run with a variable' >&2; exit 101";
        let failed = try_script(panic).unwrap_err().to_string();
        assert!(failed.contains("(status 101: it overflows)"), "{failed}");
        // More than a pipe holds.
        let loud = try_script("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3").unwrap_err();
        assert!(loud.to_string().len() < 1_000, "{loud}");
    }

    #[test]
    fn a_stopped_trial_kills_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1; touch \"$0\""]).arg(&mark);
        let stopped = try_in(&mut command, Path::new("m.gguf"), &|_| false).unwrap();
        assert_eq!(stopped, Trial::Stopped);
        thread::sleep(Duration::from_millis(1500));
        assert!(!mark.exists(), "the process was not killed");
    }
}
