//! The fast inner loop, cheapest first.

use clap::Args;

use crate::{
    cargo, failure::Failure, node, process, say, tally::Tally, tidy, workspace::Workspace,
};

/// What `check` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Lints only, with the documentation's; `test` runs the tests anyway.
    #[arg(long)]
    lint: bool,
}

/// `cargo xtask check`
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    say("Checking", "formatting");
    cargo::cargo(workspace, "cargo fmt (`cargo fmt` puts it right)")
        .args(["fmt", "--all", "--check"])
        .run()?;
    tidy::run(workspace)?;
    node::packages(workspace)?;
    let typescript = typescript(workspace)?;
    if typescript.failed > 0 {
        return Err(Failure::Check(format!("{} failed", typescript.names.join(", "))));
    }
    say("Checking", "clippy");
    for selection in [
        cargo::native(workspace, "cargo clippy", "clippy"),
        cargo::xtask(workspace, "cargo clippy of xtask", "clippy"),
    ] {
        selection.args(["--all-targets", "--", "-D", "warnings"]).run()?;
    }
    if options.lint {
        say("Checking", "documentation");
        return cargo::native(workspace, "cargo doc", "doc")
            .arg("--no-deps")
            .env("RUSTDOCFLAGS", "-D warnings")
            .run();
    }
    say("Testing", cargo::SMALL.join(", "));
    cargo::cargo(workspace, "unit tests of the small crates")
        .args(["test", "--release", "--lib", "--quiet"])
        .args(cargo::select(&cargo::SMALL))
        .run()
}

/// Biome and the TypeScript compiler; one count each.
pub(crate) fn typescript(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for (name, program, args) in [
        ("biome (`npm run fix` puts most right)", "biome", &["check", "."][..]),
        ("tsc", "tsc", &["--build"][..]),
    ] {
        say("Checking", name);
        let (_, status) = node::tool(workspace, name, program).args(args).tee()?;
        tally += Tally::single(process::succeeded(name, status).is_ok(), name);
    }
    Ok(tally)
}
