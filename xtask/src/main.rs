//! Developer commands of this repository: `cargo xtask <command>`.
//!
//! A step is skipped when its inputs have not changed. Every program that is started runs in a
//! process group of its own, which ends with it. An error is one sentence that says what to do.

use std::process::ExitCode;

use clap::Parser;

mod assets;
mod bench;
mod browser;
mod cargo;
mod check;
mod cli;
mod demo;
mod digest;
mod dist;
mod docs;
mod failure;
mod held_out;
mod node;
mod own_data;
mod parts;
mod pipeline;
mod process;
mod progress;
mod results;
mod second_shop;
mod served;
mod server;
mod services;
mod setup;
mod site;
mod soak;
mod static_site;
mod tally;
mod test;
mod tidy;
mod types;
mod wasm;
mod workspace;

use cli::{Cli, Command};
use failure::Failure;
use workspace::Workspace;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = process::stop_children_on_interrupt().and_then(|()| {
        let workspace = Workspace::locate()?;
        match cli.command {
            Command::Setup(options) => setup::run(&workspace, &options),
            Command::Demo(options) => demo::run(&workspace, &options),
            Command::Check(options) => check::run(&workspace, &options),
            Command::Test(options) => test::run(&workspace, &options),
            Command::Tidy(options) => tidy::run(&workspace, &options),
            Command::Types => types::run(&workspace),
            Command::Docs => docs::run(&workspace),
            Command::Soak(options) => soak::run(&workspace, &options),
            Command::Screenshots => demo::screenshots(&workspace),
            Command::Dist(options) => dist::run(&workspace, &options),
            Command::Wasm(options) => wasm::run(&workspace, &options),
            Command::Site(options) => static_site::run(&workspace, &options),
            Command::Bench(options) => bench::run(&workspace, &options),
            Command::Results => results::run(&workspace),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Interrupted | Failure::Reported { .. }) {
                eprintln!("error: {failure}");
            }
            ExitCode::from(failure.status())
        }
    }
}
