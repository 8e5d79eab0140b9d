//! The server under four times the load that it can answer.

use crate::{
    cargo, cli::SoakOptions, failure::Failure, progress::say, tally::Tally, workspace::Workspace,
};

const TEST: &str = "soak::soak_for_minutes";

/// `cargo xtask soak`
pub(crate) fn run(workspace: &Workspace, options: &SoakOptions) -> Result<(), Failure> {
    say("Overloading", format!("the server for {} s", options.seconds));
    let (output, status) = cargo::native(workspace, "the overload", "test")
        .args(["--test", "api", "--", "--ignored", "--nocapture", "--exact", TEST])
        .env("SOAK_SECONDS", options.seconds.to_string())
        .env("OMP_WAIT_POLICY", "passive")
        .tee()?;
    let tally = Tally::of_cargo(&output).with_status("the overload", status);
    if (tally.passed, tally.failed) == (1, 0) {
        return Ok(());
    }
    Err(Failure::Check(format!("the server did not meet the criteria of {TEST}: see above")))
}
