//! Calls of cargo. Programs, tests and lints use one profile and one fixed selection of packages
//! and features, because another selection would compile Burn and llama.cpp again.

use std::env;

use crate::{failure::Failure, process::Program, workspace::Workspace};

/// Features of the packages of [`native`] in addition to the defaults.
pub(crate) const FEATURES: &str = "tandem-generator/llama,tandem-generator/testing,tandem-trainer/llama,wasm-client/cpu,wasm-client/typescript";

/// Packages whose unit tests run in seconds.
pub(crate) const SMALL: [&str; 3] = ["tandem-protocol", "tandem-collaboration", "tandem-dataset"];

/// `cargo` of the current toolchain, run in the checkout.
pub(crate) fn cargo(workspace: &Workspace, what: &str) -> Program {
    Program::new(what, env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .dir(workspace.root())
        .remedy("install Rust with rustup")
}

/// `-p` for each of `packages`.
pub(crate) fn select<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().flat_map(|package| ["-p", *package]).collect()
}

/// A cargo command on all workspace packages except xtask and `tandem-log-engine`, whose
/// dependencies would enable extra features, in the release profile.
pub(crate) fn native(workspace: &Workspace, what: &str, command: &str) -> Program {
    cargo(workspace, what).args([
        command,
        "--release",
        "--workspace",
        "--exclude",
        "xtask",
        "--exclude",
        "tandem-log-engine",
        "--features",
        FEATURES,
    ])
}

/// A cargo command on xtask only.
pub(crate) fn xtask(workspace: &Workspace, what: &str, command: &str) -> Program {
    cargo(workspace, what).args([command, "--release", "--package", "xtask"])
}

/// Builds `tandem`, `cloud-server` and the example that requantises a GGUF file. With an example
/// among the targets, cargo resolves features as it does for tests, so nothing is built twice.
pub(crate) fn build_programs(workspace: &Workspace) -> Result<(), Failure> {
    native(workspace, "building tandem and cloud-server", "build")
        .args(["--bins", "--example", "requantise"])
        .run()
}
