//! The `cloud-server` program: arguments, log and exit status.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use cloud_server::{
    Args, ConfigError, ConsumeCommand, KeysCommand, LogFormat, LogWriter, ReleasesCommand,
    Shutdown, StorageCommand, TrialCommand, UnknownVariable,
};

/// Exit status of a server that could not start.
const CANNOT_START: u8 = 2;
/// Variable of the levels of the log, and the levels without it.
const LOG_VARIABLE: &str = "RUST_LOG";
const LOG_LEVELS: &str =
    "info,actix_http=off,llama-cpp-2=error,async_nats=warn,sqlx::postgres::notice=warn";
/// Maximum number of log lines waiting to be written to stderr.
const LOG_CAPACITY: usize = 1024;
/// Maximum time to wait for stderr at the end.
const LOG_PATIENCE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    ignore_hang_ups();
    // Must be early, because it restarts the program once.
    if let Err(error) = tandem_generator::llama::passive_threads() {
        report(&format!("could not set OMP_WAIT_POLICY=passive ({error}); starting without it"));
    }
    let line: Vec<OsString> = env::args_os().collect();
    if line.get(1).is_some_and(|first| first == "keys") {
        return keys();
    }
    if line.get(1).is_some_and(|first| first == "releases") {
        return releases();
    }
    if line.get(1).is_some_and(|first| ["export", "backup", "restore"].iter().any(|it| first == it))
    {
        return storage();
    }
    if line.get(1).is_some_and(|first| first == "consume") {
        return consume(&line);
    }
    if line.get(1).is_some_and(|first| TrialCommand::is_named(first)) {
        return try_model();
    }
    if line.get(1).is_some_and(|first| first == "manual") {
        return manual();
    }
    let (args, matches) = match Args::load(&line) {
        Ok(loaded) => loaded,
        Err(error) => return refuse_options(error),
    };
    if args.print_config {
        report_misspelled();
        return print(Args::describe(&matches).trim_end());
    }
    let log = match LogWriter::start(io::stderr(), LOG_CAPACITY) {
        Ok(log) => log,
        Err(error) => {
            report(&format!("cannot create a thread for the log: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    start_log(&log, args.log_format);
    warn_of_unknown_variables();
    if args.check {
        let checked = cloud_server::check(&args);
        log.flush(LOG_PATIENCE);
        return match checked {
            Ok(()) => print("the configuration can be used"),
            Err(error) => refuse(&error),
        };
    }
    let result = cloud_server::run(&args, || match Args::load(&line) {
        Ok((args, _)) => Some(args),
        Err(error) => {
            tracing::error!(%error, "cannot read the configuration again");
            None
        }
    });
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

/// `cloud-server keys`.
fn keys() -> ExitCode {
    let KeysLine { command: KeysLineCommand::Keys(command) } = KeysLine::parse();
    match command.run() {
        Ok(text) => print(&text),
        Err(error) => refuse(&error),
    }
}

/// `cloud-server releases`.
fn releases() -> ExitCode {
    let ReleasesLine { command: ReleasesLineCommand::Releases(command) } = ReleasesLine::parse();
    match command.run() {
        Ok(text) => print(&text),
        Err(error) => refuse(&error),
    }
}

/// `cloud-server export`, `backup` and `restore`.
fn storage() -> ExitCode {
    let StorageLine { command } = StorageLine::parse();
    match command.run() {
        Ok(text) => print(&text),
        Err(error) => refuse(&error),
    }
}

/// `cloud-server consume`, which reads options and has a log as the server does.
fn consume(line: &[OsString]) -> ExitCode {
    let command = match ConsumeCommand::load(line) {
        Ok(command) => command,
        Err(error) => return refuse_options(error),
    };
    let log = match LogWriter::start(io::stderr(), LOG_CAPACITY) {
        Ok(log) => log,
        Err(error) => {
            report(&format!("cannot create a thread for the log: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    start_log(&log, command.log_format());
    warn_of_unknown_variables();
    let consumed = command.run();
    log.flush(LOG_PATIENCE);
    match consumed {
        Ok(text) => print(&text),
        Err(error) => refuse(&error),
    }
}

/// The command line of the commands on the storage.
#[derive(Parser)]
#[command(name = "cloud-server")]
struct StorageLine {
    #[command(subcommand)]
    command: StorageCommand,
}

/// `cloud-server manual`, for packages of the program: not in the help.
fn manual() -> ExitCode {
    let ManualLine { command: ManualLineCommand::Manual { share } } = ManualLine::parse();
    let command = KeysLineCommand::augment_subcommands(Args::with_environment());
    let command = ReleasesLineCommand::augment_subcommands(command);
    let command = command.subcommand(ConsumeCommand::command());
    let command = StorageCommand::augment_subcommands(command)
        .subcommand_required(false)
        .arg_required_else_help(false);
    match tandem_manual::write(&command, &share) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// The command line of `cloud-server manual`.
#[derive(Parser)]
#[command(name = "cloud-server")]
struct ManualLine {
    #[command(subcommand)]
    command: ManualLineCommand,
}

#[derive(Subcommand)]
enum ManualLineCommand {
    Manual {
        /// Folder such as `/usr/local/share`.
        #[arg(value_name = "FOLDER")]
        share: PathBuf,
    },
}

/// The command line of `cloud-server keys`.
#[derive(Parser)]
#[command(name = "cloud-server")]
struct KeysLine {
    #[command(subcommand)]
    command: KeysLineCommand,
}

#[derive(Subcommand)]
enum KeysLineCommand {
    Keys(KeysCommand),
}

/// The command line of `cloud-server releases`.
#[derive(Parser)]
#[command(name = "cloud-server")]
struct ReleasesLine {
    #[command(subcommand)]
    command: ReleasesLineCommand,
}

#[derive(Subcommand)]
enum ReleasesLineCommand {
    Releases(ReleasesCommand),
}

/// A process that tries a language model for the server. The reason for a refusal is one line on
/// stdout; stderr has the messages of llama.cpp.
fn try_model() -> ExitCode {
    let TrialLine { command: TrialLineCommand::TryModel(command) } = TrialLine::parse();
    // The server holds the other end of stdin: without it, nobody needs the result.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit_immediately(0)
    });
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter("off,llama-cpp-2=error")
        .without_time()
        .with_target(false)
        .with_level(false)
        .with_ansi(false)
        .init();
    let status = match command.run() {
        Ok(()) => 0,
        Err(error) => {
            let _ = print(&error.to_string().replace('\n', " "));
            TrialCommand::REFUSED
        }
    };
    exit_immediately(status)
}

/// The command line of a process that tries a language model.
#[derive(Parser)]
#[command(name = "cloud-server")]
struct TrialLine {
    #[command(subcommand)]
    command: TrialLineCommand,
}

#[derive(Subcommand)]
enum TrialLineCommand {
    TryModel(TrialCommand),
}

/// Starts the log: text for people at a terminal, JSON for programs.
fn start_log(log: &LogWriter, format: LogFormat) {
    let is_terminal = io::stderr().is_terminal();
    let is_json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    // An error without the variable, too.
    let refused = filter.as_ref().err().filter(|_| env::var_os(LOG_VARIABLE).is_some());
    let refused = refused.map(ToString::to_string);
    let log = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_env_filter(filter.unwrap_or_else(|_| LOG_LEVELS.into()));
    if is_json {
        log.json().flatten_event(true).init();
    } else {
        log.with_ansi(is_terminal).init();
    }
    if let Some(reason) = refused {
        tracing::warn!(reason, "{LOG_VARIABLE} cannot be used; the levels are {LOG_LEVELS}");
    }
    // The default hook writes to stderr directly and would block a thread if stderr is blocked.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
}

/// Says why options cannot be used. Prints help and version, too, and ends the process then.
fn refuse_options(error: ConfigError) -> ExitCode {
    match error {
        ConfigError::Options(error) => {
            if error.use_stderr() {
                report_misspelled();
            }
            error.exit()
        }
        error => {
            report_misspelled();
            refuse(&error)
        }
    }
}

/// Names variables that look like options and have no effect in the log.
fn warn_of_unknown_variables() {
    for variable in Args::unknown_variables(variables()) {
        tracing::warn!("{variable}");
    }
}

/// Names of the variables of the environment.
fn variables() -> impl Iterator<Item = OsString> {
    env::vars_os().map(|(name, _)| name)
}

/// Names variables that are probably misspelled options, where there is no log.
fn report_misspelled() {
    let unknown = Args::unknown_variables(variables()).into_iter();
    let similar = unknown.filter(UnknownVariable::is_similar);
    similar.for_each(|variable| report(&variable.to_string()));
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    report(&error.to_string());
    ExitCode::from(CANNOT_START)
}

/// Writes to stdout, which may be closed.
fn print(text: &str) -> ExitCode {
    // An empty list has no lines.
    let end = if text.is_empty() { "" } else { "\n" };
    match write!(io::stdout(), "{text}{end}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(CANNOT_START),
    }
}

/// Writes a message to stderr. In contrast to `eprintln`, it does not panic if stderr is closed.
fn report(message: &str) {
    let _ = writeln!(io::stderr(), "cloud-server: {message}");
}

/// Lets SIGHUP not end the process before the server listens to it. In contrast to a handler, this
/// outlasts the restart of the program.
#[cfg(unix)]
fn ignore_hang_ups() {
    #[expect(unsafe_code, reason = "the standard library sets no signals")]
    // SAFETY: `SIG_IGN` runs no code, and no other thread exists yet.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

#[cfg(not(unix))]
fn ignore_hang_ups() {}

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
