//! The `tandem` command, run as a process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calibrate;
mod evaluate;
mod export;
mod folds;
mod forget;
mod import;
#[cfg(all(feature = "llama", unix))]
mod interrupt;
#[cfg(feature = "llama")]
mod lists;
mod options;
mod publish;
#[cfg(feature = "llama")]
mod quickstart;
#[cfg(feature = "llama")]
mod signals;
mod train;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A temporary working directory for the command.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).output().unwrap()
    }

    /// Standard output of a run that must succeed.
    fn done(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// The message of a run that must fail with this status.
    fn failed(&self, status: i32, line: &str) -> String {
        let output = self.run(line);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "one sentence: {message}");
        message.strip_prefix("error: ").unwrap_or(&message).trim_end().to_owned()
    }

    /// A dataset `set` of 4 users and 6 items.
    fn import_sample(&self) {
        self.write(
            "log.csv",
            "user,item,timestamp\n\
             1,10,1\n1,20,2\n1,30,3\n1,40,4\n\
             2,10,1\n2,20,2\n2,30,3\n\
             3,20,1\n3,30,2\n3,40,3\n3,50,4\n\
             4,60,1\n4,10,2\n",
        );
        self.done("import --events log.csv --name sample --out set");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names in a folder, sorted; hidden ones too.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
