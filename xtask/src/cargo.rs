//! How cargo is called. One profile and one fixed choice of packages and features for
//! programs, tests and lints: another choice would compile Burn and llama.cpp once more.

use std::env;

use crate::{failure::Failure, process::Program, workspace::Workspace};

/// Every package, all of which also run on the machine itself, but for this one: its dependencies would
/// switch on features of theirs.
pub(crate) const NATIVE: [&str; 11] = [
    "tandem-protocol",
    "tandem-collaboration",
    "tandem-dataset",
    "tandem-model",
    "tandem-session",
    "tandem-generator",
    "tandem-evaluation",
    "tandem-training",
    "tandem-trainer",
    "cloud-server",
    "wasm-client",
];

/// Features of [`NATIVE`] beside the defaults.
pub(crate) const FEATURES: &str = "tandem-generator/llama,tandem-generator/testing,tandem-trainer/llama,wasm-client/cpu,wasm-client/typescript";

/// Packages whose unit tests take seconds.
pub(crate) const SMALL: [&str; 3] = ["tandem-protocol", "tandem-collaboration", "tandem-dataset"];

/// `cargo` of the toolchain that built us, run in the checkout.
pub(crate) fn cargo(workspace: &Workspace, what: &str) -> Program {
    Program::new(what, env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .dir(workspace.root())
        .remedy("install Rust with rustup")
}

/// `-p` for each of `packages`.
pub(crate) fn select<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().flat_map(|package| ["-p", *package]).collect()
}

/// A command of cargo on all of [`NATIVE`], in the one profile.
pub(crate) fn native(workspace: &Workspace, what: &str, command: &str) -> Program {
    cargo(workspace, what)
        .args([command, "--release", "--features", FEATURES])
        .args(select(&NATIVE))
}

/// A command of cargo on this package alone.
pub(crate) fn xtask(workspace: &Workspace, what: &str, command: &str) -> Program {
    cargo(workspace, what).args([command, "--release", "--package", "xtask"])
}

/// Builds `tandem`, `cloud-server` and the example that requantises a GGUF file. With an
/// example among the targets, cargo takes the dependencies' features as it does for tests.
pub(crate) fn build_programs(workspace: &Workspace) -> Result<(), Failure> {
    native(workspace, "building tandem and cloud-server", "build")
        .args(["--bins", "--example", "requantise"])
        .run()
}
