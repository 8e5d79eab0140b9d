//! The checkpoint of a training in progress: after an interruption at any moment, the same
//! command resumes.
//!
//! Format: a line with the format version, a line of JSON ([`Header`]), the state of the
//! [`Trainer`].

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tandem_dataset::{
    Dataset,
    files::{FileDraft, Sha256Hex},
};

use super::{Epoch, FitJob, best_epoch};
use crate::{SequenceModel, Trainer, TrainingError};

const MAGIC: &str = "tandem training 1\n";
/// Hexadecimal digits of the hash of the data.
const FINGERPRINT_DIGITS: usize = 16;

/// Progress of a training.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Finished epochs.
    pub(super) epochs: Vec<Epoch>,
    /// Steps taken in the unfinished epoch.
    pub(super) steps: usize,
    /// Sum of the losses of these steps.
    pub(super) loss: f64,
    /// Duration of these steps in seconds.
    pub(super) seconds: f64,
    /// Duration of the training over all runs, in seconds.
    pub(super) elapsed: f64,
    /// Duration of the last epoch with validation, in seconds.
    pub(super) last: f64,
}

/// The checkpoint file beside the model, for one set of data and settings.
pub(super) struct ResumeFile<'a> {
    path: PathBuf,
    out: &'a Path,
    settings: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// Data and settings, as text.
    training: BTreeMap<String, String>,
    progress: Progress,
}

impl<'a> ResumeFile<'a> {
    pub(super) fn of(job: &FitJob<'a>) -> Self {
        let mut all_settings = BTreeMap::from([("data".to_owned(), fingerprint(job.dataset))]);
        if let serde_json::Value::Object(settings) = &job.settings {
            all_settings
                .extend(settings.iter().map(|(name, value)| (name.clone(), value.to_string())));
        }
        Self { path: beside(job.out, ".checkpoint"), out: job.out, settings: all_settings }
    }

    /// Restores the state of an interrupted run, if there is one.
    pub(super) fn resume<M: SequenceModel>(
        &self,
        trainer: &mut Trainer<M>,
    ) -> Result<Option<Progress>, TrainingError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainingError::io("read", &self.path)(error)),
        };
        let mut file = BufReader::new(file);
        let header = read_header(&mut file).map_err(|error| self.refused(&error))?;
        let differences = self.differences(&header.training);
        if !differences.is_empty() {
            let text = format!("it belongs to another training: {}", differences.join(", "));
            return Err(self.refused(&text));
        }
        if best_epoch(&header.progress.epochs).is_some() && !self.out.exists() {
            let text = format!("its best model so far, {}, is missing", self.out.display());
            return Err(self.refused(&text));
        }
        trainer.restore(&mut file).map_err(|error| self.refused(&error))?;
        if file.read(&mut [0]).map_err(|error| self.refused(&error))? != 0 {
            return Err(self.refused(&"it has extra bytes at its end"));
        }
        Ok(Some(header.progress))
    }

    /// Replaces the file atomically.
    pub(super) fn write<M: SequenceModel>(
        &self,
        trainer: &Trainer<M>,
        progress: &Progress,
    ) -> Result<(), TrainingError> {
        let write = || -> io::Result<()> {
            let header = Header { training: self.settings.clone(), progress: progress.clone() };
            // A fixed name: a killed run leaves at most one draft, which the next overwrites.
            let mut file = FileDraft::at(&self.draft(), &self.path)?;
            file.write_all(MAGIC.as_bytes())?;
            serde_json::to_writer(&mut file, &header)?;
            file.write_all(b"\n")?;
            trainer.save(&mut file)?;
            file.publish()
        };
        write().map_err(TrainingError::io("write", &self.path))
    }

    /// Removes the file and its draft.
    pub(super) fn remove(&self) -> Result<(), TrainingError> {
        for path in [&self.path, &self.draft()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(TrainingError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn draft(&self) -> PathBuf {
        beside(&self.path, ".new")
    }

    /// Settings that differ from those of the interrupted training.
    fn differences(&self, interrupted: &BTreeMap<String, String>) -> Vec<String> {
        let names: BTreeSet<&String> = interrupted.keys().chain(self.settings.keys()).collect();
        let text = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).map_or_else(|| "absent".to_owned(), Clone::clone)
        };
        names
            .into_iter()
            .filter(|name| interrupted.get(*name) != self.settings.get(*name))
            .map(|name| {
                let (before, now) = (text(interrupted, name), text(&self.settings, name));
                format!("{name} was {before} and is now {now}")
            })
            .collect()
    }

    fn refused(&self, reason: &dyn std::fmt::Display) -> TrainingError {
        TrainingError::Resume { path: self.path.clone(), reason: reason.to_string() }
    }
}

fn read_header(file: &mut impl BufRead) -> io::Result<Header> {
    let mut line = String::new();
    file.take(MAGIC.len() as u64).read_to_string(&mut line)?;
    if line != MAGIC {
        return Err(io::Error::other("it is not a training checkpoint of this version"));
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

/// The first digits of a SHA-256 over the item ids and all sequences.
fn fingerprint(dataset: &Dataset) -> String {
    let mut hash = Sha256Hex::default();
    hash.update(dataset.catalogue.hash());
    for sequence in &dataset.sequences {
        hash.update((sequence.items.len() as u64).to_le_bytes());
        for item in &sequence.items {
            hash.update(item.0.to_le_bytes());
        }
    }
    hash.finish()[..FINGERPRINT_DIGITS].to_owned()
}
