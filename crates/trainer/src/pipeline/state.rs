//! Which steps are done, in a small file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tandem_dataset::files::sha256_hex;

use super::remove;
use crate::write_atomically;

/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 16;

/// The steps of a working folder.
#[derive(Debug)]
pub(super) struct Steps {
    path: PathBuf,
    known: BTreeMap<String, Step>,
}

/// A step that was begun.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// Hash of its inputs and options.
    key: String,
    /// Whether it was finished; an interrupted step was not.
    finished: bool,
}

/// A hash of inputs and options, and of the version of this program.
pub(super) fn key(parts: &[&str]) -> String {
    let parts: Vec<String> = [env!("CARGO_PKG_VERSION")]
        .iter()
        .chain(parts)
        .map(|part| format!("{}:{part}", part.len()))
        .collect();
    sha256_hex(parts.concat())[..KEY_DIGITS].to_owned()
}

impl Steps {
    /// The steps recorded in `folder`. Without a readable record nothing is done yet.
    pub(super) fn open(folder: &Path) -> Self {
        let path = folder.join("steps.json");
        let known = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path, known: known.unwrap_or_default() }
    }

    /// Runs a step, unless it was finished with the same key and its outputs exist.
    ///
    /// `unfinished` are files from which an interrupted run continues. They are removed first,
    /// unless the interrupted run had the same key.
    pub(super) fn run(
        &mut self,
        name: &str,
        key: &str,
        outputs: &[&Path],
        unfinished: &[&Path],
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let known = self.known.get(name).filter(|step| step.key == key);
        let resumes = known.is_some_and(|step| !step.finished);
        let finished = known.is_some_and(|step| step.finished);
        if finished && outputs.iter().all(|path| path.exists()) {
            crate::terminal::note(format_args!("{name}: nothing has changed"));
            return Ok(());
        }
        crate::terminal::note(format_args!("{name} …"));
        let started = Instant::now();
        if !resumes {
            // Before the new key is recorded, so that a run of another key is never continued.
            unfinished.iter().try_for_each(|path| remove(path))?;
            self.record(name, key, false)?;
        }
        run()?;
        self.record(name, key, true)?;
        crate::terminal::note(format_args!("{name}: {:.1} s", started.elapsed().as_secs_f64()));
        Ok(())
    }

    fn record(&mut self, name: &str, key: &str, finished: bool) -> Result<()> {
        self.known.insert(name.to_owned(), Step { key: key.to_owned(), finished });
        let json = serde_json::to_vec_pretty(&self.known)?;
        write_atomically(&self.path, &json)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_runs_until_it_is_finished_and_again_if_its_key_or_output_changes() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        let checkpoint = folder.path().join("checkpoint");
        // Whether it ran and, if so, whether it found a checkpoint.
        let run = |key: &str, fails: bool| {
            let mut resumed = None;
            // The record is read again, as by another process.
            let mut steps = Steps::open(folder.path());
            let ran = steps.run("step", key, &[&output], &[&checkpoint], || {
                resumed = Some(checkpoint.exists());
                fs::write(&checkpoint, "")?;
                anyhow::ensure!(!fails, "interrupted");
                fs::remove_file(&checkpoint)?;
                Ok(fs::write(&output, "")?)
            });
            assert_eq!(ran.is_err(), fails);
            resumed
        };
        assert_eq!(run("a", true), Some(false));
        assert_eq!(run("b", true), Some(false), "the interrupted step had another key");
        assert_eq!(run("b", false), Some(true));
        assert_eq!(run("b", false), None);
        fs::remove_file(&output).unwrap();
        assert_eq!(
            run("b", false),
            Some(false),
            "it was finished, so there is nothing to continue"
        );
        assert_eq!(run("c", false), Some(false));
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab", ""]));
    }
}
