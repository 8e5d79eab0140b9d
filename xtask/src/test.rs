//! Every test there is, and their number.

use std::fs;

use clap::Args;

use crate::{
    assets::Assets,
    browser, cargo, check, demo,
    failure::Failure,
    node, say, setup, site,
    tally::Tally,
    wasm::{self, Device, Purpose},
    workspace::Workspace,
};

/// What `test` is asked for.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave out the browser: Rust and TypeScript tests only.
    #[arg(long)]
    no_browser: bool,
}

/// Results so far. A step that fails does not keep the later ones from running.
#[derive(Default)]
struct Ledger {
    total: Tally,
    broken: Vec<String>,
}

impl Ledger {
    /// Runs a step; an interrupt alone ends the whole run.
    fn step(
        &mut self,
        name: &str,
        step: impl FnOnce() -> Result<Tally, Failure>,
    ) -> Result<bool, Failure> {
        say("Testing", name);
        let tally = match step() {
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => {
                say("FAILED", format!("{name}: {failure}"));
                Tally::single(false, name)
            }
            Ok(tally) => tally,
        };
        say("Result", format!("{name}: {} passed, {} failed", tally.passed, tally.failed));
        let whole = tally.failed == 0;
        if !whole {
            self.broken.push(name.to_owned());
        }
        self.total += tally;
        Ok(whole)
    }

    /// The last line is for whoever reads only that.
    fn close(self) -> Result<(), Failure> {
        for name in &self.total.names {
            println!("failed: {name}");
        }
        if !self.broken.is_empty() {
            println!("failed steps: {}", self.broken.join(", "));
        }
        println!("{} passed, {} failed", self.total.passed, self.total.failed);
        if self.total.failed == 0 { Ok(()) } else { Err(Failure::Told { status: 1 }) }
    }
}

/// `cargo xtask test`
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let assets = setup::everything(workspace, !options.no_browser)?;
    let mut ledger = Ledger::default();

    ledger.step("xtask", || {
        let (output, status) = cargo::xtask(workspace, "cargo test of xtask", "test").tee()?;
        Ok(Tally::of_cargo(&output).with_status("cargo test of xtask", status))
    })?;
    ledger.step("rust", || rust(workspace, &assets))?;
    let modules = ledger.step("wasm modules", || {
        for device in Device::ALL {
            wasm::build(workspace, device, Purpose::Package)?;
        }
        Ok(Tally::default())
    })?;
    if modules {
        ledger.step("site", || site::build(workspace).map(|_| Tally::default()))?;
    }
    ledger.step("types and style", || check::typescript(workspace))?;
    for package in ["pkg", "web", "web/bench"] {
        ledger.step(&format!("{package} (vitest)"), || vitest(workspace, package))?;
    }
    ledger.step("the npm package as it is published", || node::package(workspace))?;
    if !options.no_browser {
        ledger.step("parity of backends", || {
            for device in Device::ALL {
                wasm::build(workspace, device, Purpose::Bench)?;
            }
            browser::parity(workspace)
        })?;
        ledger.step("the package in a browser", || browser::package(workspace))?;
        in_browser(workspace, &mut ledger)?;
    }
    ledger.close()
}

fn in_browser(workspace: &Workspace, ledger: &mut Ledger) -> Result<(), Failure> {
    let mut built = None;
    ledger.step("demo builds", || {
        built = Some(demo::build(workspace, true)?);
        Ok(Tally::default())
    })?;
    let Some(built) = built else { return Ok(()) };
    ledger.step("demo in a browser", || {
        let session = demo::check(workspace, &built)?;
        println!("{}", session.report);
        Ok(session.tally)
    })?;
    ledger.step("examples in a browser", || {
        let server = built.serve(workspace, 0, &["*".to_owned()])?;
        let tally = browser::examples(workspace, &server);
        server.stop();
        tally
    })?;
    ledger.step("faults in a browser", || {
        let server = built.serve(workspace, 0, &[])?;
        let tally = browser::faults(workspace, &server);
        server.stop();
        tally
    })?;
    say("Kept", format!("screenshots in {}", workspace.evidence().display()));
    Ok(())
}

/// All native packages by one call, so that Burn and llama.cpp are compiled once.
fn rust(workspace: &Workspace, assets: &Assets) -> Result<Tally, Failure> {
    cargo::build_programs(workspace)?;
    let (output, status) = cargo::native(workspace, "cargo test", "test")
        .arg("--no-fail-fast")
        .env("TANDEM_GGUF", assets.language_model(workspace)?)
        .env("OMP_WAIT_POLICY", "passive")
        .tee()?;
    Ok(Tally::of_cargo(&output).with_status("cargo test", status))
}

fn vitest(workspace: &Workspace, package: &str) -> Result<Tally, Failure> {
    let folder = workspace.evidence();
    fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
    let report = folder.join(format!("vitest-{}.json", package.replace('/', "-")));
    if report.exists() {
        fs::remove_file(&report).map_err(Failure::file(&report))?;
    }
    let (_, status) = node::tool(workspace, "vitest", "vitest")
        .args(["run", "--reporter=default", "--reporter=json"])
        .arg(format!("--outputFile.json={}", report.display()))
        .dir(&workspace.at(package))
        .tee()?;
    let text = fs::read_to_string(&report).unwrap_or_default();
    Ok(Tally::of_vitest(&text).unwrap_or_default().with_status("vitest", status))
}
