//! The chores of this repository: `cargo xtask <command>`.
//!
//! Every step is skipped when its inputs have not changed, every program it starts runs in
//! a process group of its own that ends with it, and a failure is one sentence that says
//! what to do.

use std::{fmt, process::ExitCode};

use clap::{Parser, Subcommand};

mod assets;
mod bench;
mod browser;
mod cargo;
mod check;
mod demo;
mod digest;
mod failure;
mod node;
mod pipeline;
mod process;
mod results;
mod server;
mod setup;
mod site;
mod tally;
mod test;
mod tidy;
mod wasm;
mod workspace;

use failure::Failure;
use workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the Tandem repository")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install and fetch all that the other commands need; does nothing when it is there.
    Setup(setup::Options),
    /// Build everything, prepare data and model, start the server with the demo site.
    Demo(demo::Options),
    /// Run every test: Rust, WebAssembly, TypeScript, and the demo in a real browser.
    Test(test::Options),
    /// The fast inner loop: formatting, lints, types, unit tests of the small crates.
    Check(check::Options),
    /// Compile the device's part to WebAssembly and write its bindings into `pkg/wasm`.
    Wasm(wasm::Options),
    /// Measure speed; every figure comes from this run.
    Bench(bench::Options),
    /// Write the tables of the documents anew from `docs/results`.
    Results,
    /// Check the rules of the house: dependencies, file sizes, no traces of a machine.
    Tidy,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = process::stop_children_on_interrupt().and_then(|()| {
        let workspace = Workspace::locate()?;
        match cli.chore {
            Chore::Setup(options) => setup::run(&workspace, &options),
            Chore::Demo(options) => demo::run(&workspace, &options),
            Chore::Test(options) => test::run(&workspace, &options),
            Chore::Check(options) => check::run(&workspace, &options),
            Chore::Wasm(options) => wasm::run(&workspace, &options),
            Chore::Bench(options) => bench::run(&workspace, &options),
            Chore::Results => results::run(&workspace),
            Chore::Tidy => tidy::run(&workspace),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Interrupted | Failure::Told { .. }) {
                eprintln!("error: {failure}");
            }
            ExitCode::from(failure.status())
        }
    }
}

/// Says on standard error what is being done now.
pub(crate) fn say(step: &str, what: impl fmt::Display) {
    eprintln!("{step:>12}  {what}");
}
