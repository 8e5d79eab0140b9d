//! The fast checks of the development loop, cheapest first.

use crate::{
    cargo,
    cli::{CheckOptions, TidyOptions},
    failure::Failure,
    node, process,
    progress::say,
    tally::Tally,
    tidy,
    workspace::Workspace,
};

/// `cargo xtask check`
pub(crate) fn run(workspace: &Workspace, options: &CheckOptions) -> Result<(), Failure> {
    say("Checking", "formatting");
    cargo::cargo(workspace, "cargo fmt --check (`cargo fmt` corrects it)")
        .args(["fmt", "--all", "--check"])
        .run()?;
    tidy::run(workspace, &TidyOptions { no_build: false })?;
    node::packages(workspace)?;
    let typescript = typescript(workspace)?;
    if typescript.failed > 0 {
        return Err(Failure::Check(format!("{} failed", typescript.names.join(", "))));
    }
    say("Checking", "clippy");
    for selection in [
        cargo::native(workspace, "cargo clippy", "clippy"),
        cargo::xtask(workspace, "cargo clippy of xtask", "clippy").args(["--features", "bind"]),
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

/// Runs Biome and the TypeScript compiler; each counts as one test.
pub(crate) fn typescript(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for (name, program, args) in [
        ("biome (`npm run fix` corrects most of it)", "biome", &["check", "."][..]),
        ("tsc", "tsc", &["--build"][..]),
    ] {
        say("Checking", name);
        let (_, status) = node::tool(workspace, name, program).args(args).tee()?;
        tally += Tally::single(process::succeeded(name, status).is_ok(), name);
    }
    Ok(tally)
}
