//! Installs the archive into an empty folder and uses it as its readers do.

use std::{fmt::Write, fs, path::Path};

use crate::{failure::Failure, process::Program, progress::say};

/// Users of the log that the programs are tried with.
const USERS: usize = 60;
/// Items of that log.
const ITEMS: usize = 40;

/// Checks the sums, unpacks the archive, makes a recommender from a small log with it, and has the
/// server check the result, which also loads the language model.
pub(super) fn run(folder: &Path, archive: &Path, name: &str) -> Result<(), Failure> {
    say("Trying", "the archive in an empty folder");
    let empty = tempfile::tempdir()
        .map_err(|error| Failure::Machine(format!("cannot make a temporary folder: {error}")))?;
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).map_err(Failure::file(folder))?;
    Program::new("sha256sum", "sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .dir(folder)
        .remedy("install coreutils")
        .run()?;
    if !sums.contains(&*archive.file_name().unwrap_or_default().to_string_lossy()) {
        return Err(Failure::Check("SHA256SUMS does not name the archive".to_owned()));
    }
    Program::new("tar", "tar").arg("-xf").arg(archive).dir(empty.path()).run()?;
    let root = empty.path().join(name);
    for file in [
        "share/man/man1/cloud-server.1",
        "share/man/man1/tandem.1",
        "share/bash-completion/completions/tandem",
        "share/zsh/site-functions/_cloud-server",
        "share/fish/vendor_completions.d/tandem.fish",
        "LICENSES-OF-DEPENDENCIES.txt",
        "deploy/tandem.service",
        "SECURITY.md",
    ] {
        if !root.join(file).is_file() {
            return Err(Failure::Check(format!("the archive has no {file}")));
        }
    }
    let log = empty.path().join("clicks.csv");
    fs::write(&log, clicks()).map_err(Failure::file(&log))?;
    let program = |program: &str| {
        Program::new(format!("{program} of the archive"), root.join("bin").join(program))
            .dir(empty.path())
            .env("PATH", root.join("bin"))
            .env("OMP_WAIT_POLICY", "passive")
    };
    program("tandem").arg("--version").run()?;
    program("cloud-server").arg("--version").run()?;
    program("tandem")
        .args(["quickstart", "--minutes", "0.1", "--events", "clicks.csv", "--out", "shop"])
        .run()?;
    program("cloud-server").args(["--release", "shop", "--check"]).run()
}

/// A log in which each user takes neighbouring items.
fn clicks() -> String {
    let mut text = "user_id,item_id,timestamp\n".to_owned();
    for user in 0..USERS {
        for step in 0..12 {
            let item = (user * 7 + step * (1 + user % 3)) % ITEMS;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "u{user},i{item},{}", 1_700_000_000 + user * 1000 + step * 60);
        }
    }
    text
}
