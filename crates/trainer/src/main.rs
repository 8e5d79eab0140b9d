//! The `tandem` command: import logs, train, evaluate, export.
//!
//! Each subcommand is one module and imports no other subcommand; modules at the top that are no
//! subcommand are shared. `pipeline` alone calls the functions of several subcommands, one after
//! another; `quickstart` and `retrain` are built on it. Exit status: 0 for success, 2 for unusable input (options, files), 1
//! for any other failure, 130 after an interruption. Files are written atomically, except logs of
//! trainings and files of candidate lists, which grow line by line.

mod calibrate;
mod calibration;
mod candidate_lists;
mod capacity;
mod cluster;
#[cfg(feature = "llama")]
mod convert;
#[cfg(feature = "llama")]
mod embed;
mod evaluate;
mod export;
#[cfg(feature = "llama")]
mod extend;
mod failure;
#[cfg(feature = "llama")]
mod fit_signals;
mod folds;
mod forget;
mod forget_files;
#[cfg(feature = "llama")]
mod gguf_encoding;
mod import;
#[cfg(feature = "llama")]
mod language_model;
mod large_log;
#[cfg(feature = "llama")]
mod lists;
mod log_options;
mod memory;
#[cfg(feature = "llama")]
mod pipeline;
mod publish;
mod quickstart;
mod retrain;
mod search;
#[cfg(feature = "llama")]
mod server;
mod small_model;
mod terminal;
mod text_vectors;
mod train;
mod values;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use tandem_dataset::files::{clean_up_on_interrupt, write_atomically};

/// Recommendations by a language model in the cloud and a small model in the browser.
#[derive(Parser, Debug)]
#[command(name = "tandem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a recommender from log files: import, train, calibrate, measure, publish.
    Quickstart(quickstart::Quickstart),
    /// Make a new release from new events, and use it if it is not worse.
    Retrain(retrain::Retrain),
    /// Remove a user from event logs and datasets.
    Forget(forget::Forget),
    /// Convert interaction logs and catalogues to a dataset folder.
    Import(import::Import),
    /// Start a scheduler or an executor for `tandem import --cluster`.
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Divide the users of a dataset for cross-fitting.
    Folds(folds::Folds),
    /// Train a model.
    #[command(subcommand)]
    Train(train::Train),
    /// Convert a BERT sentence embedder to GGUF.
    #[cfg(feature = "llama")]
    Convert(convert::Convert),
    /// Compute text embeddings of the items of a catalogue.
    #[cfg(feature = "llama")]
    Embed(embed::Embed),
    /// Fit the weights of counts, texts and a small model beside an item-token model or a text model.
    #[cfg(feature = "llama")]
    FitSignals(fit_signals::FitSignals),
    /// Add new items to a trained language model by their texts.
    #[cfg(feature = "llama")]
    Extend(extend::Extend),
    /// Generate candidate lists of a language model for calibration and evaluation.
    #[cfg(feature = "llama")]
    Lists(lists::Lists),
    /// Fit fusion, learning rates and call policy on validation sessions.
    Calibrate(calibrate::Calibrate),
    /// Measure models on held-out interactions.
    Evaluate(evaluate::Evaluate),
    /// Write the artefacts that server and device load.
    Export(export::Export),
    /// Send a release to a server and put it in use there.
    Publish(publish::Publish),
    /// Compute what a number of visitors needs: servers, memory, bandwidth, price.
    Capacity(capacity::Capacity),
    /// Write manual pages and shell completions, for packages of the program.
    #[command(hide = true)]
    Manual {
        /// Folder such as `/usr/local/share`.
        #[arg(value_name = "FOLDER")]
        share: PathBuf,
    },
}

/// What the libraries of the program read from the environment. The C library keeps freed tensors for
/// the next step (up to 1 GB, tensors up to 32 MB) instead of returning them to the system and asking
/// for them again, which took a quarter of a training step.
#[cfg(feature = "llama")]
const ENVIRONMENT: [(&str, &str); 3] = [
    tandem_generator::llama::PASSIVE_THREADS,
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "1073741824"),
];

fn main() -> ExitCode {
    #[cfg(feature = "llama")]
    if let Err(error) = tandem_generator::llama::restart_with(&ENVIRONMENT) {
        crate::terminal::note(format_args!("warning: training and llama.cpp may be slow: {error}"));
    }
    let cli = Cli::parse();
    let installed = clean_up_on_interrupt().context("cannot listen for Ctrl-C");
    let done = installed.and_then(|()| match &cli.command {
        Command::Quickstart(args) => quickstart::run(args),
        Command::Retrain(args) => retrain::run(args),
        Command::Forget(args) => forget::run(args),
        Command::Import(import) => import::run(import),
        Command::Cluster(cluster) => cluster::run(cluster),
        Command::Folds(args) => folds::run(args),
        Command::Train(train) => train::run(train),
        #[cfg(feature = "llama")]
        Command::Convert(args) => convert::run(args),
        #[cfg(feature = "llama")]
        Command::Embed(args) => embed::run(args),
        #[cfg(feature = "llama")]
        Command::FitSignals(args) => fit_signals::run(args),
        #[cfg(feature = "llama")]
        Command::Extend(args) => extend::run(args),
        #[cfg(feature = "llama")]
        Command::Lists(args) => lists::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Export(args) => export::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Capacity(args) => capacity::run(args),
        Command::Manual { share } => tandem_manual::write(&Cli::command(), share)
            .with_context(|| format!("cannot write to {}", share.display())),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::terminal::note(format_args!("error: {}", failure::sentence(&error)));
            ExitCode::from(failure::exit_status(&error))
        }
    }
}
