//! Where a training stands, on disk: killed at any moment, the same command goes on.
//!
//! The file is a line that says what it is, a line of JSON ([`Header`]) and the state of
//! the [`Trainer`].

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tandem_dataset::Dataset;
use tandem_model::training::{Encoder, Trainer};

use super::{
    fit::Job,
    journal::{Epoch, best},
};
use crate::failure::BadInput;

const MAGIC: &str = "tandem training 1\n";

/// How far a training is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Epochs that are over.
    pub(super) epochs: Vec<Epoch>,
    /// Steps taken in the one that is not.
    pub(super) steps: usize,
    /// Sum of their losses.
    pub(super) loss: f64,
    /// Seconds that they took.
    pub(super) seconds: f64,
    /// Seconds of the whole training, over all its runs.
    pub(super) elapsed: f64,
    /// Seconds that the last epoch took, with validation.
    pub(super) last: f64,
}

/// The file beside the model, and what it must be a checkpoint of.
pub(super) struct Checkpoint<'a> {
    path: PathBuf,
    out: &'a Path,
    training: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// Data and options, as text.
    training: BTreeMap<String, String>,
    progress: Progress,
}

impl<'a> Checkpoint<'a> {
    pub(super) fn of(job: &Job<'a>) -> Self {
        let mut training = BTreeMap::from([("data".to_owned(), fingerprint(job.dataset))]);
        if let serde_json::Value::Object(settings) = &job.settings {
            training.extend(settings.iter().map(|(name, value)| (name.clone(), value.to_string())));
        }
        Self { path: beside(job.out, ".checkpoint"), out: job.out, training }
    }

    /// Brings the trainer to where an earlier run was interrupted, if there was one.
    ///
    /// # Errors
    /// If the checkpoint is of another training, or damaged.
    pub(super) fn resume<E: Encoder>(&self, trainer: &mut Trainer<E>) -> Result<Option<Progress>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", self.path.display()));
            }
        };
        let mut file = BufReader::new(file);
        let header = read_header(&mut file).map_err(|error| self.refused(&error))?;
        let differences = self.differences(&header.training);
        if !differences.is_empty() {
            let text = format!("it is of another training: {}", differences.join(", "));
            return Err(self.refused(&text));
        }
        if best(&header.progress.epochs).is_some() && !self.out.exists() {
            let text = format!("{}, which was kept so far, is gone", self.out.display());
            return Err(self.refused(&text));
        }
        trainer.restore(&mut file).map_err(|error| self.refused(&error))?;
        if file.read(&mut [0]).map_err(|error| self.refused(&error))? != 0 {
            return Err(self.refused(&"it is longer than it should be"));
        }
        Ok(Some(header.progress))
    }

    /// Replaces the file in one go.
    pub(super) fn write<E: Encoder>(
        &self,
        trainer: &Trainer<E>,
        progress: &Progress,
    ) -> Result<()> {
        // One name for the draft: a killed run leaves at most one, and the next writes over it.
        let draft = self.draft();
        let write = || -> io::Result<()> {
            let header = Header { training: self.training.clone(), progress: progress.clone() };
            let mut file = BufWriter::new(File::create(&draft)?);
            file.write_all(MAGIC.as_bytes())?;
            serde_json::to_writer(&mut file, &header)?;
            file.write_all(b"\n")?;
            trainer.save(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&draft, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The training is over, or starts over.
    pub(super) fn remove(&self) -> Result<()> {
        for path in [&self.path, &self.draft()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn draft(&self) -> PathBuf {
        beside(&self.path, ".new")
    }

    /// What is not as in the training that was interrupted.
    fn differences(&self, interrupted: &BTreeMap<String, String>) -> Vec<String> {
        let names: BTreeSet<&String> = interrupted.keys().chain(self.training.keys()).collect();
        let text = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).map_or_else(|| "absent".to_owned(), Clone::clone)
        };
        names
            .into_iter()
            .filter(|name| interrupted.get(*name) != self.training.get(*name))
            .map(|name| {
                let (there, here) = (text(interrupted, name), text(&self.training, name));
                format!("{name} is {there} there and {here} here")
            })
            .collect()
    }

    fn refused(&self, why: &dyn std::fmt::Display) -> anyhow::Error {
        BadInput(format!(
            "cannot go on from {}: {why}; repeat the command that was interrupted, or give \
             --fresh to start over",
            self.path.display()
        ))
        .into()
    }
}

fn read_header(file: &mut impl BufRead) -> io::Result<Header> {
    let mut line = String::new();
    file.take(MAGIC.len() as u64).read_to_string(&mut line)?;
    if line != MAGIC {
        return Err(io::Error::other("it is no checkpoint of this version"));
    }
    line.clear();
    file.read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Hash of the catalogue's ids and of what everyone did, as the first digits of a SHA-256.
fn fingerprint(dataset: &Dataset) -> String {
    let mut hash = Sha256::new();
    hash.update(dataset.catalogue.hash());
    for sequence in &dataset.sequences {
        hash.update((sequence.items.len() as u64).to_le_bytes());
        for item in &sequence.items {
            hash.update(item.0.to_le_bytes());
        }
    }
    let first = hash.finalize().iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    format!("{first:016x}")
}
