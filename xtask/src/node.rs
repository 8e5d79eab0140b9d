//! Node, npm and the programs of npm packages.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;

use crate::{
    failure::Failure, process::Program, progress::say, tally::Tally, workspace::Workspace,
};

const OLDEST_NODE: u32 = 20;
const GET_NODE: &str = "install Node 20 or newer, with npm, and try again";

/// `node` run in the checkout.
pub(crate) fn node(workspace: &Workspace, what: &str) -> Program {
    Program::new(what, "node").dir(workspace.root()).remedy(GET_NODE)
}

/// `npm run <script>` in the checkout.
pub(crate) fn npm_run(workspace: &Workspace, what: &str, script: &str) -> Program {
    Program::new(what, "npm")
        .args(["run", "--silent", script])
        .dir(workspace.root())
        .remedy(GET_NODE)
}

/// A program of an installed npm package.
pub(crate) fn tool(workspace: &Workspace, what: &str, tool: &str) -> Program {
    Program::new(what, workspace.at("node_modules/.bin").join(tool))
        .dir(workspace.root())
        .remedy("run `cargo xtask setup`")
}

/// Runs Node's test runner on `script`; `program` is [`node`] with the variables it needs.
pub(crate) fn run_tests(program: Program, script: &str) -> Result<Tally, Failure> {
    let options = ["--test", "--test-reporter=tap", "--test-concurrency=1"];
    let (output, status) = program.args(options).arg(script).tee()?;
    Ok(Tally::of_tap(&output).with_status(script, status))
}

/// Tests the packed client package: contents, imports and size. It must be built.
pub(crate) fn package(workspace: &Workspace) -> Result<Tally, Failure> {
    run_tests(node(workspace, "the tests of the npm package"), "pkg/scripts/package.test.mjs")
}

/// Installs the npm packages of `package-lock.json` if they are missing.
pub(crate) fn packages(workspace: &Workspace) -> Result<(), Failure> {
    let version = node(workspace, "node --version").arg("--version").output()?;
    if major(&version).is_none_or(|major| major < OLDEST_NODE) {
        return Err(Failure::Machine(format!(
            "Node {OLDEST_NODE} or newer is needed, found {}: {GET_NODE}",
            version.trim()
        )));
    }
    if installed(workspace)? {
        return Ok(());
    }
    say("Installing", "npm packages");
    Program::new("npm ci", "npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .dir(workspace.root())
        .remedy(GET_NODE)
        .run()
}

/// Whether `node_modules` has the packages of `package-lock.json`, according to npm's own list.
fn installed(workspace: &Workspace) -> Result<bool, Failure> {
    let wanted = workspace.at("package-lock.json");
    let wanted = fs::read_to_string(&wanted).map_err(Failure::file(wanted))?;
    let Ok(present) = fs::read_to_string(workspace.at("node_modules/.package-lock.json")) else {
        return Ok(false);
    };
    Ok(holds(&wanted, &present))
}

#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Locked>,
}

#[derive(Deserialize, PartialEq)]
struct Locked {
    version: Option<String>,
    integrity: Option<String>,
    /// May be missing: it is for another operating system or processor.
    #[serde(default)]
    optional: bool,
}

fn holds(wanted: &str, present: &str) -> bool {
    let (Ok(wanted), Ok(present)) =
        (serde_json::from_str::<Lock>(wanted), serde_json::from_str::<Lock>(present))
    else {
        return false;
    };
    let installed = |name: &String| name.contains("node_modules/");
    wanted.packages.iter().filter(|(name, _)| installed(name)).all(|(name, package)| match present
        .packages
        .get(name)
    {
        Some(found) => (&found.version, &found.integrity) == (&package.version, &package.integrity),
        None => package.optional,
    })
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_that_node_prints_is_parsed() {
        assert_eq!(super::major("v20.20.2\n"), Some(20));
        assert_eq!(super::major("20.20.2"), None);
        assert_eq!(super::major(""), None);
    }

    const WANTED: &str = r#"{"packages": {
        "": {"version": "0.1.0"},
        "pkg": {"version": "0.1.0"},
        "node_modules/a": {"version": "1.0.0", "integrity": "x"},
        "node_modules/mac-only": {"version": "1.0.0", "integrity": "y", "optional": true}
    }}"#;

    #[test]
    fn node_modules_must_have_every_locked_package_in_its_locked_version() {
        let present = |version: &str| {
            format!(
                r#"{{"packages": {{"node_modules/a": {{"version": "{version}", "integrity": "x"}}}}}}"#
            )
        };
        assert!(super::holds(WANTED, &present("1.0.0")));
        assert!(!super::holds(WANTED, &present("0.9.0")));
        assert!(!super::holds(WANTED, r#"{"packages": {}}"#));
        assert!(!super::holds(WANTED, "half a fi"));
    }
}
