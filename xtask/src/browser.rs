//! Real browsers, driven by the scripts of `web/e2e`.

use std::{ffi::OsString, fs, path::PathBuf};

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

/// A Chromium: `$CHROMIUM`, or one of the usual names.
pub(crate) fn chromium() -> Option<OsString> {
    std::env::var_os("CHROMIUM")
        .filter(|path| !path.is_empty())
        .or_else(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path))
}

/// Node with what the scripts want to know; screenshots and reports go to
/// [`Workspace::evidence`].
fn driver(workspace: &Workspace) -> Result<Program, Failure> {
    let chromium = chromium().ok_or_else(|| {
        Failure::Machine(
            "no Chromium found: install one, or name it in the variable CHROMIUM".to_owned(),
        )
    })?;
    let evidence = workspace.evidence();
    fs::create_dir_all(&evidence).map_err(Failure::file(&evidence))?;
    Ok(node::node(workspace, "the browser's driver")
        .env("CHROMIUM", chromium)
        .env("TANDEM_EVIDENCE", evidence))
}

/// What a scripted session found.
#[derive(Debug)]
pub(crate) struct Session {
    /// One line of JSON with every figure.
    pub(crate) report: String,
    /// What held, and what did not, by name.
    pub(crate) tally: Tally,
}

/// The driver's account of its own assertions.
#[derive(Deserialize)]
struct Assertions {
    passed: usize,
    failed: Vec<String>,
}

/// Clicks through the shop on every device and checks what it sees.
pub(crate) fn scripted_session(workspace: &Workspace, server: &Server) -> Result<Session, Failure> {
    let account = assertions(workspace);
    if account.exists() {
        fs::remove_file(&account).map_err(Failure::file(&account))?;
    }
    let driver = driver(workspace)?.env("TANDEM_URL", server.url()).arg("web/e2e/check.mjs");
    let (output, status) = driver.collect_quietly()?;
    let report = output.lines().last().unwrap_or_default().to_owned();
    let counted = fs::read_to_string(&account)
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
    tally.fail("web/e2e/check.mjs: its report contradicts its assertions".to_owned());
    let report = serde_json::json!({ "ok": false, "failed": tally.names }).to_string();
    Ok(Session { report, tally })
}

fn assertions(workspace: &Workspace) -> PathBuf {
    workspace.evidence().join("assertions.json")
}

/// What a page does when artefacts are damaged, the network is gone, the server dies. The
/// last of it ends `server`.
pub(crate) fn faults(workspace: &Workspace, server: &Server) -> Result<Tally, Failure> {
    let program = driver(workspace)?
        .env("TANDEM_URL", server.url())
        .env("TANDEM_SERVER_PID", server.id().to_string());
    node::run_tests(program, "web/e2e/faults.test.mjs")
}

/// The examples, built from the packed package, and what a page is told that a security
/// policy keeps from working. `server` must allow pages of any origin.
pub(crate) fn examples(workspace: &Workspace, server: &Server) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for script in ["web/e2e/examples.test.mjs", "web/e2e/csp.test.mjs"] {
        let program = driver(workspace)?.env("TANDEM_URL", server.url());
        tally += node::run_tests(program, script)?;
    }
    Ok(tally)
}

/// The built package in pages of its own, against a cloud that fails when it is told to.
pub(crate) fn package(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for part in ["", "-faults", "-storage", "-device", "-weight"] {
        let script = format!("web/e2e/package{part}.test.mjs");
        tally += node::run_tests(driver(workspace)?, &script)?;
    }
    Ok(tally)
}

/// The same scores natively, on WebAssembly and on WebGPU.
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

/// The device's model beside other runtimes, in one page.
pub(crate) fn benchmark(workspace: &Workspace) -> Result<(), Failure> {
    driver(workspace)?.args(["web/bench/run.mjs", "--webgpu"]).run()
}
