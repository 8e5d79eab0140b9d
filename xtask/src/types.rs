//! The TypeScript types that are generated from the Rust types, by a test of `wasm-client`.

use crate::{
    cargo, digest::Inputs, failure::Failure, process::Program, progress::say, tally::Tally, wasm,
    workspace::Workspace,
};

const FILE: &str = "pkg/src/shared/generated.ts";
const TEST: &str = "the_typescript_types_are_up_to_date";
/// Makes the test write the file.
const WRITE: &str = "TANDEM_WRITE_TYPES";

/// `cargo xtask types`
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    say("Generating", FILE);
    test(workspace).env(WRITE, "1").run()?;
    check(workspace)
}

/// Fails if the file does not match the Rust types. Skipped if neither has changed since the last
/// success.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let file = workspace.at(FILE);
    let mut inputs = Inputs::new().text(cargo::FEATURES);
    for source in wasm::SOURCES {
        inputs = inputs.folder(&workspace.at(source).join("src"), &[])?;
    }
    workspace.stamp("types").unless_done(&inputs, std::slice::from_ref(&file), || {
        say("Checking", format!("{FILE} against the Rust types"));
        let (output, status) = test(workspace).collect_quietly()?;
        if !status.success() {
            return Err(Failure::Check(format!(
                "{FILE} does not match the Rust types: run `cargo xtask types`\n{output}"
            )));
        }
        // A name that matches no test also succeeds.
        match Tally::of_cargo(&output).passed {
            1 => Ok(()),
            passed => Err(Failure::Check(format!(
                "expected one test named {TEST} in wasm-client, found {passed}"
            ))),
        }
    })
}

/// Selects all packages, so that nothing is compiled with other features than elsewhere.
fn test(workspace: &Workspace) -> Program {
    cargo::native(workspace, "the test of the generated types", "test").args(["--lib", TEST])
}
