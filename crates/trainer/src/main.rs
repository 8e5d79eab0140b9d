//! The `tandem` command: import logs, train, evaluate, export.
//!
//! Exit status: 0 if all went well, 2 if the fault lies in what was given (arguments,
//! files), 1 for every other failure, 130 after Ctrl-C. Whatever is written appears whole
//! or not at all.

mod calibrate;
mod calibration;
mod candidate_lists;
mod evaluate;
mod export;
#[cfg(feature = "llama")]
mod extend;
mod failure;
#[cfg(feature = "llama")]
mod gguf_encoding;
mod import;
#[cfg(feature = "llama")]
mod lists;
mod memory;
mod small_model;
#[cfg(feature = "llama")]
mod title_vectors;
mod train;
mod values;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tandem_dataset::files::{clean_up_on_interrupt, write_atomically};

/// Recommendations by a large model in the cloud and a small one in the browser.
#[derive(Parser, Debug)]
#[command(name = "tandem", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Turn interaction logs into a dataset folder.
    #[command(subcommand)]
    Import(import::Import),
    /// Train a model.
    #[command(subcommand)]
    Train(train::Train),
    /// Add new items to a trained language model of item tokens, by their titles.
    #[cfg(feature = "llama")]
    Extend(extend::Extend),
    /// Make a language model's candidate lists once, for evaluations.
    #[cfg(feature = "llama")]
    Lists(lists::Lists),
    /// Choose fusion and policy on validation sessions.
    Calibrate(calibrate::Calibrate),
    /// Measure models on held-out interactions.
    Evaluate(evaluate::Evaluate),
    /// Write what server and device load.
    Export(export::Export),
}

fn main() -> ExitCode {
    #[cfg(feature = "llama")]
    if let Err(error) = tandem_generator::llama::passive_threads() {
        eprintln!("warning: llama.cpp may be slow on a busy machine: {error}");
    }
    let cli = Cli::parse();
    let installed = clean_up_on_interrupt().context("cannot listen for Ctrl-C");
    let done = installed.and_then(|()| match &cli.command {
        Command::Import(import) => import::run(import),
        Command::Train(train) => train::run(train),
        #[cfg(feature = "llama")]
        Command::Extend(args) => extend::run(args),
        #[cfg(feature = "llama")]
        Command::Lists(args) => lists::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Export(args) => export::run(args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", failure::sentence(&error));
            ExitCode::from(failure::exit_status(&error))
        }
    }
}
