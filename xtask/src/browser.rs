//! Browser tests and benchmarks: Chromium, driven by the scripts of `web/e2e` and `web/bench`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    cargo,
    failure::Failure,
    node,
    process::{Program, on_path},
    server::Server,
    tally::Tally,
    workspace::Workspace,
};

/// Chromium: `$CHROMIUM`, or one of the usual names on the `PATH`.
pub(crate) fn chromium() -> Option<OsString> {
    std::env::var_os("CHROMIUM")
        .filter(|path| !path.is_empty())
        .or_else(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path))
}

/// Node with the variables that the scripts read. Screenshots and reports go to
/// [`Workspace::evidence`].
fn driver(workspace: &Workspace) -> Result<Program, Failure> {
    let chromium = chromium().ok_or_else(|| {
        Failure::Machine(
            "no Chromium found: install it, or set the variable CHROMIUM to its path".to_owned(),
        )
    })?;
    let evidence = workspace.evidence();
    fs::create_dir_all(&evidence).map_err(Failure::file(&evidence))?;
    Ok(node::node(workspace, "the browser driver")
        .env("CHROMIUM", chromium)
        .env("TANDEM_EVIDENCE", evidence))
}

/// Result of a scripted session.
#[derive(Debug)]
pub(crate) struct Session {
    /// One line of JSON with every figure.
    pub(crate) report: String,
    /// Passed and failed assertions.
    pub(crate) tally: Tally,
}

/// The assertions that the script reports in a file.
#[derive(Deserialize)]
struct Assertions {
    passed: usize,
    failed: Vec<String>,
}

/// Clicks through the demo on every compute device and checks what the page shows.
pub(crate) fn scripted_session(workspace: &Workspace, server: &Server) -> Result<Session, Failure> {
    let assertions = assertions(workspace);
    if assertions.exists() {
        fs::remove_file(&assertions).map_err(Failure::file(&assertions))?;
    }
    let driver = driver(workspace)?.env("TANDEM_URL", server.url()).arg("web/e2e/check.mjs");
    let (output, status) = driver.collect_quietly()?;
    let report = output.lines().last().unwrap_or_default().to_owned();
    let counted = fs::read_to_string(&assertions)
        .ok()
        .and_then(|text| serde_json::from_str::<Assertions>(&text).ok());
    let mut tally = counted.map_or_else(Tally::default, |counted| Tally {
        passed: counted.passed,
        failed: counted.failed.len(),
        names: counted.failed,
    });
    if !status.success() && tally.failed == 0 {
        tally.fail(format!("web/e2e/check.mjs ({status})"));
    }
    let json = serde_json::from_str::<serde_json::Value>(&report);
    if json.is_ok_and(|json| json["ok"] == (tally.failed == 0)) {
        return Ok(Session { report, tally });
    }
    tally.fail("web/e2e/check.mjs: its report and its assertions disagree".to_owned());
    let report = serde_json::json!({ "ok": false, "failed": tally.names }).to_string();
    Ok(Session { report, tally })
}

fn assertions(workspace: &Workspace) -> PathBuf {
    workspace.evidence().join("assertions.json")
}

/// Tests the film shop as a visitor uses it.
pub(crate) fn shop(workspace: &Workspace, server: &Server) -> Result<Tally, Failure> {
    let program = driver(workspace)?.env("TANDEM_URL", server.url());
    node::run_tests(program, "web/e2e/shop.test.mjs")
}

/// Measures the first visit to the demo: bytes over the wire, and times on a slow line.
pub(crate) fn first_view(workspace: &Workspace, server: &Server) -> Result<Tally, Failure> {
    let program = driver(workspace)?.env("TANDEM_URL", server.url());
    node::run_tests(program, "web/e2e/first-view.test.mjs")
}

/// Makes the pictures of the documents.
pub(crate) fn screenshots(workspace: &Workspace, server: &Server) -> Result<(), Failure> {
    driver(workspace)?.env("TANDEM_URL", server.url()).arg("web/e2e/screenshots.mjs").run()
}

/// Tests the demo with damaged artefacts, without a network and with a server that dies. The
/// last test stops `server`.
pub(crate) fn faults(workspace: &Workspace, server: &Server) -> Result<Tally, Failure> {
    let program = driver(workspace)?
        .env("TANDEM_URL", server.url())
        .env("TANDEM_SERVER_PID", server.id().to_string());
    node::run_tests(program, "web/e2e/faults.test.mjs")
}

/// Tests the examples, built from the packed package, and pages whose Content-Security-Policy is
/// too strict. `server` must allow pages of any origin. `all`: also the examples that are not in
/// the workspace of npm.
pub(crate) fn examples(
    workspace: &Workspace,
    server: &Server,
    all: bool,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for script in ["web/e2e/examples.test.mjs", "web/e2e/csp.test.mjs"] {
        let program = driver(workspace)?
            .env("TANDEM_URL", server.url())
            .env("TANDEM_ALL_EXAMPLES", if all { "1" } else { "0" });
        tally += node::run_tests(program, script)?;
    }
    Ok(tally)
}

/// Files `web/e2e/package*.test.mjs`.
const PACKAGE_TESTS: [&str; 9] = [
    "",
    "-visit",
    "-search",
    "-faults",
    "-storage",
    "-device",
    "-weight",
    "-browsers",
    "-documents",
];

/// Tests the built package in pages of its own, against a simulated server. Its documents must be
/// built.
pub(crate) fn package(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for part in PACKAGE_TESTS {
        let script = format!("web/e2e/package{part}.test.mjs");
        tally += node::run_tests(driver(workspace)?, &script)?;
    }
    Ok(tally)
}

/// Tests links and pages of the built documentation site.
pub(crate) fn documents(workspace: &Workspace) -> Result<Tally, Failure> {
    node::run_tests(driver(workspace)?, "web/e2e/docs.test.mjs")
}

/// Tests the way from clicks in a page to a new release in the same page. `tandem` and
/// `cloud-server` must be built.
pub(crate) fn retraining(workspace: &Workspace) -> Result<Tally, Failure> {
    with_programs(workspace, "web/e2e/retraining.test.mjs")
}

/// Tests the admin page of a server, and a release that is sent to it. `tandem` and `cloud-server`
/// must be built.
pub(crate) fn administration(workspace: &Workspace) -> Result<Tally, Failure> {
    with_programs(workspace, "web/e2e/admin.test.mjs")
}

/// Tests the site without a server, which is in the folder `site`.
pub(crate) fn static_site(workspace: &Workspace, site: &Path) -> Result<Tally, Failure> {
    let program = driver(workspace)?.env("TANDEM_SITE", site);
    node::run_tests(program, "web/e2e/static-site.test.mjs")
}

/// Tests the page for a visitor's own files, from dropping them to clicks in the trained shop.
/// `tandem` and `cloud-server` must be built, and the site in the folder `site`.
pub(crate) fn own_data(workspace: &Workspace, site: &Path) -> Result<Tally, Failure> {
    let program = programs(workspace)?.env("TANDEM_SITE", site);
    node::run_tests(program, "web/e2e/own-data.test.mjs")
}

fn with_programs(workspace: &Workspace, script: &str) -> Result<Tally, Failure> {
    node::run_tests(programs(workspace)?, script)
}

/// The driver for scripts that start `tandem` and `cloud-server`.
fn programs(workspace: &Workspace) -> Result<Program, Failure> {
    let tandem = workspace.program("tandem");
    let programs = tandem.parent().unwrap_or(workspace.target());
    Ok(driver(workspace)?
        .env("TANDEM_PROGRAMS", programs)
        // Spinning OpenMP threads slow each other down on a busy machine.
        .env("OMP_WAIT_POLICY", "passive"))
}

/// Tests that scores are the same natively, on WebAssembly and on WebGPU.
pub(crate) fn parity(workspace: &Workspace) -> Result<Tally, Failure> {
    let example = "parity_case";
    cargo::native(workspace, "building the parity case", "build")
        .args(["--example", example])
        .run()?;
    Program::new("the parity case", workspace.program(&format!("examples/{example}")))
        .arg(workspace.evidence().join("parity"))
        .run()?;
    node::run_tests(driver(workspace)?, "web/e2e/parity.test.mjs")
}

/// Measures the small model beside other runtimes, in one page.
pub(crate) fn benchmark(workspace: &Workspace) -> Result<(), Failure> {
    driver(workspace)?.args(["web/bench/run.mjs", "--webgpu"]).run()
}
