//! Runs all tests and counts them.

use std::fs;

use crate::{
    assets::{self, Assets},
    browser, cargo, check,
    cli::{Device, TestOptions},
    demo, docs,
    failure::Failure,
    node,
    progress::say,
    services, setup, site, static_site,
    tally::Tally,
    wasm::{self, Purpose},
    workspace::Workspace,
};

/// Results so far. A failed step does not prevent the later steps.
#[derive(Default)]
struct Summary {
    total: Tally,
    failed_steps: Vec<String>,
}

impl Summary {
    /// Runs a step and returns whether all its tests passed.
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
        let passed = tally.failed == 0;
        if !passed {
            self.failed_steps.push(name.to_owned());
        }
        self.total += tally;
        Ok(passed)
    }

    /// Prints the failures and, as the last line, the counts.
    fn finish(self) -> Result<(), Failure> {
        for name in &self.total.names {
            println!("failed: {name}");
        }
        if !self.failed_steps.is_empty() {
            println!("failed steps: {}", self.failed_steps.join(", "));
        }
        println!("{} passed, {} failed", self.total.passed, self.total.failed);
        if self.total.failed == 0 { Ok(()) } else { Err(Failure::Reported { status: 1 }) }
    }
}

/// `cargo xtask test`
pub(crate) fn run(workspace: &Workspace, options: &TestOptions) -> Result<(), Failure> {
    if options.services {
        services::require()?;
    }
    let assets = setup::everything(workspace, !options.no_browser)?;
    let mut summary = Summary::default();

    summary.step("xtask", || {
        let (output, status) = cargo::xtask(workspace, "cargo test of xtask", "test").tee()?;
        Ok(Tally::of_cargo(&output).with_status("cargo test of xtask", status))
    })?;
    summary.step("rust", || rust(workspace, options, &assets))?;
    if options.services {
        summary.step("imports outside of memory", || log_engine(workspace))?;
    }
    summary.step("commands in documents", || docs::test(workspace))?;
    let modules = summary.step("wasm modules", || {
        for device in Device::ALL {
            wasm::build(workspace, device, Purpose::Package)?;
        }
        Ok(Tally::default())
    })?;
    if modules {
        summary.step("site", || site::build(workspace).map(|_| Tally::default()))?;
    }
    summary.step("types and style", || check::typescript(workspace))?;
    for package in ["pkg", "web", "web/bench"] {
        summary.step(&format!("{package} (vitest)"), || vitest(workspace, package))?;
    }
    summary.step("the packed npm package", || node::package(workspace))?;
    let documents = summary
        .step("documentation site", || site::documents(workspace).map(|_| Tally::default()))?;
    if !options.no_browser {
        if documents {
            summary.step("documentation site in a browser", || browser::documents(workspace))?;
        }
        summary.step("parity of backends", || {
            for device in Device::ALL {
                wasm::build(workspace, device, Purpose::Bench)?;
            }
            browser::parity(workspace)
        })?;
        summary.step("the package in a browser", || {
            setup::second_browser()?;
            browser::package(workspace)
        })?;
        summary.step("retraining with a browser", || {
            cargo::build_programs(workspace)?;
            browser::retraining(workspace)
        })?;
        summary.step("the admin page in a browser", || {
            cargo::build_programs(workspace)?;
            browser::administration(workspace)
        })?;
        in_browser(workspace, options, &mut summary)?;
    }
    summary.finish()
}

/// The tests of imports with DataFusion and Ballista, which take long to build.
fn log_engine(workspace: &Workspace) -> Result<Tally, Failure> {
    let what = "cargo test of tandem-log-engine";
    let test = ["test", "--release", "-p", "tandem-log-engine"];
    let mut tests = cargo::cargo(workspace, what).args(test);
    if let Some(program) = services::s3_server(workspace)? {
        tests = tests.env("MOTO_SERVER", program);
    }
    let (output, status) = tests.tee()?;
    Ok(Tally::of_cargo(&output).with_status(what, status))
}

fn in_browser(
    workspace: &Workspace,
    options: &TestOptions,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let mut built = None;
    summary.step("demo builds", || {
        built = Some(demo::build(workspace, true)?);
        Ok(Tally::default())
    })?;
    let Some(built) = built else { return Ok(()) };
    summary.step("demo in a browser", || {
        let session = demo::check(workspace, &built)?;
        println!("{}", session.report);
        Ok(session.tally)
    })?;
    summary.step("examples in a browser", || {
        let server = built.serve(workspace, 0, &["*".to_owned()])?;
        let tally = browser::examples(workspace, &server, options.all_examples);
        server.stop();
        tally
    })?;
    summary.step("the film shop", || {
        let server = built.serve(workspace, 0, &[])?;
        let mut tally = browser::shop(workspace, &server)?;
        tally += browser::first_view(workspace, &server)?;
        server.stop();
        Ok(tally)
    })?;
    summary.step("the site without a server", || {
        let out = workspace.target().join("xtask/tested-site");
        static_site::make(workspace, &built, &out)?;
        browser::static_site(workspace, &out)
    })?;
    summary.step("own data in a browser", || browser::own_data(workspace, built.site()))?;
    summary.step("faults in a browser", || {
        let server = built.serve(workspace, 0, &[])?;
        let tally = browser::faults(workspace, &server);
        server.stop();
        tally
    })?;
    say("Kept", format!("screenshots in {}", workspace.evidence().display()));
    Ok(())
}

/// Tests all native packages in one call, so that Burn and llama.cpp are compiled once.
fn rust(workspace: &Workspace, options: &TestOptions, assets: &Assets) -> Result<Tally, Failure> {
    cargo::build_programs(workspace)?;
    let mut tests = cargo::native(workspace, "cargo test", "test")
        .arg("--no-fail-fast")
        .env("TEST_GGUF", assets.language_model(workspace)?)
        .env("TEST_EMBEDDER", assets::embedder(workspace)?)
        .env("OMP_WAIT_POLICY", "passive");
    if let Some(program) = services::s3_server(workspace)? {
        tests = tests.env("MOTO_SERVER", program);
    }
    if options.services {
        tests = tests.env("AZURITE_BLOB", services::azure_server(workspace)?);
    }
    let (output, status) = tests.tee()?;
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
