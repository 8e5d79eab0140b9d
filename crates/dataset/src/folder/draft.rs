use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use super::{
    CATALOGUE, FORMAT_VERSION, HEADER, Header, SEQUENCES, SequenceLine, json_line, refuse_foreign,
};
use crate::{Catalogue, DatasetError, Sequence, files::FolderDraft};

/// A dataset folder that is written piece by piece, so that its sequences need not be in memory.
pub(crate) struct DatasetDraft {
    draft: FolderDraft,
}

/// A file of sequences that grows, with what must be known of it.
pub(crate) struct SequenceFile {
    path: PathBuf,
    writer: BufWriter<File>,
    counts: Vec<u32>,
    used: Vec<bool>,
    users: usize,
    interactions: usize,
}

impl DatasetDraft {
    /// Begins a folder that replaces `dir`.
    ///
    /// # Errors
    /// As [`Dataset::save`](crate::Dataset::save).
    pub(crate) fn new(dir: &Path) -> Result<Self, DatasetError> {
        refuse_foreign(dir)?;
        Ok(Self { draft: FolderDraft::new(dir)? })
    }

    /// Begins a file of sequences over `items` items. Several can be written, of which one is
    /// [published](DatasetDraft::publish).
    ///
    /// # Errors
    /// [`DatasetError::Io`] if it cannot be created.
    pub(crate) fn sequences(&self, name: &str, items: usize) -> Result<SequenceFile, DatasetError> {
        let path = self.draft.path().join(name);
        let file = self.draft.create(name).map_err(DatasetError::io("write", &path))?;
        let writer = BufWriter::new(file);
        let (counts, used) = (vec![0; items], vec![false; items]);
        Ok(SequenceFile { path, writer, counts, used, users: 0, interactions: 0 })
    }

    /// Writes the other files and puts the folder in its place. The counts of the catalogue must be
    /// those of the sequences.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if a file cannot be written.
    pub(crate) fn publish(
        self,
        sequences: SequenceFile,
        name: &str,
        notice: Option<&str>,
        repeats: bool,
        catalogue: &Catalogue,
        files: &[(&str, String)],
    ) -> Result<(), DatasetError> {
        let Self { draft } = self;
        let SequenceFile { path, writer, users, interactions, .. } = sequences;
        let closed = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        let closed = closed.and_then(|file| file.sync_all());
        closed
            .and_then(|()| fs::rename(&path, draft.path().join(SEQUENCES)))
            .map_err(DatasetError::io("write", &path))?;
        for (name, text) in files {
            draft.write(name, |writer| writer.write_all(text.as_bytes()))?;
        }
        draft.write(CATALOGUE, |writer| {
            catalogue.items().iter().try_for_each(|item| json_line(writer, item))
        })?;
        let header = Header {
            version: FORMAT_VERSION,
            name: name.to_owned(),
            notice: notice.map(str::to_owned),
            catalogue_hash: catalogue.hash().to_owned(),
            users,
            items: catalogue.len(),
            interactions,
            repeats,
        };
        draft.write(HEADER, |writer| {
            serde_json::to_writer_pretty(&mut *writer, &header)?;
            writer.write_all(b"\n")
        })?;
        draft.publish()
    }
}

impl SequenceFile {
    /// Writes the sequence of the next user.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the file cannot be written.
    pub(crate) fn write(&mut self, sequence: &Sequence) -> Result<(), DatasetError> {
        let Sequence { user, items, times } = sequence;
        let line = SequenceLine {
            user: user.into(),
            items: items.into(),
            times: times.as_ref().map(Into::into),
        };
        json_line(&mut self.writer, &line).map_err(DatasetError::io("write", &self.path))?;
        self.users += 1;
        self.interactions += items.len();
        sequence.count(&mut self.counts);
        for item in items {
            self.used[item.position()] = true;
        }
        Ok(())
    }

    /// Number of sequences.
    pub(crate) fn users(&self) -> usize {
        self.users
    }

    /// Number of items of all sequences.
    pub(crate) fn interactions(&self) -> usize {
        self.interactions
    }

    /// Number of interactions of each item in the training part.
    pub(crate) fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Whether each item is in a sequence.
    pub(crate) fn used(&self) -> &[bool] {
        &self.used
    }

    /// Deletes the file.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if it cannot be deleted.
    pub(crate) fn remove(self) -> Result<(), DatasetError> {
        fs::remove_file(&self.path).map_err(DatasetError::io("remove", &self.path))
    }
}
