//! The files that a shop has, as a dataset.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tandem_dataset::{
    DatasetError, ForgottenUsers, ImportOptions, Imported,
    files::{Sha256Hex, sha256_hex_of_file},
    import, input_files,
};

use super::write_text;
use crate::{failure::BadInput, log_options::LogOptions};

/// The file that remembers the inputs of a folder of releases.
pub(super) const RECORD: &str = "inputs.json";

/// Log files and catalogues, and how they are read. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// Files, patterns, or folders of a server's event log.
    events: Vec<PathBuf>,
    catalogue: Vec<PathBuf>,
    /// Embedding model (.gguf) for the texts of the items.
    #[serde(default)]
    embedder: Option<PathBuf>,
    log: LogOptions,
}

impl Inputs {
    /// # Errors
    /// [`BadInput`] for a file that does not exist.
    pub(crate) fn new(events: &[PathBuf], catalogue: &[PathBuf], log: &LogOptions) -> Result<Self> {
        let (events, catalogue) = (absolute(events)?, absolute(catalogue)?);
        Ok(Self { events, catalogue, embedder: None, log: log.clone() })
    }

    /// The inputs of the last run in `out`; `None` without one.
    pub(crate) fn recorded(out: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(out.join(RECORD)).ok()?).ok()
    }

    /// Remembers the inputs for the next run in `out`.
    pub(crate) fn record(&self, out: &Path) -> Result<()> {
        write_text(&out.join(RECORD), &serde_json::to_string_pretty(self)?)
    }

    /// These inputs, with other events and catalogues where any are given.
    pub(crate) fn with(mut self, events: &[PathBuf], catalogue: &[PathBuf]) -> Result<Self> {
        if !events.is_empty() {
            self.events = absolute(events)?;
        }
        if !catalogue.is_empty() {
            self.catalogue = absolute(catalogue)?;
        }
        Ok(self)
    }

    /// These inputs, with another embedding model where one is given.
    pub(crate) fn with_embedder(mut self, embedder: Option<&Path>) -> Result<Self> {
        if let Some(embedder) = embedder {
            self.embedder = absolute(&[embedder.to_owned()])?.pop();
        }
        Ok(self)
    }

    /// The embedding model for the texts of the items.
    pub(crate) fn embedder(&self) -> Option<&Path> {
        self.embedder.as_deref()
    }

    /// The files and folders with interactions.
    pub(super) fn events(&self) -> &[PathBuf] {
        &self.events
    }

    /// A hash of the content of all files, of the options and of the users left out.
    pub(super) fn digest(&self, forgotten: &ForgottenUsers) -> Result<String> {
        let mut digest = Sha256Hex::default();
        for (kind, paths) in [("events", &self.events), ("catalogue", &self.catalogue)] {
            for path in input_files(paths)? {
                for file in files_of(path)? {
                    let hash = sha256_hex_of_file(&file).map_err(|error| {
                        BadInput(format!("cannot read {}: {error}", file.display()))
                    })?;
                    digest.update(format!("{kind} {hash}\n"));
                }
            }
        }
        digest.update(serde_json::to_string(&(&self.log, forgotten))?);
        Ok(digest.finish())
    }

    /// Reads all files, without the rows of `forgotten` users.
    pub(super) fn read(
        &self,
        name: &str,
        forgotten: ForgottenUsers,
    ) -> Result<Imported, DatasetError> {
        import(&ImportOptions {
            catalogue: self.catalogue.clone(),
            forgotten,
            ..self.log.import_options(name.to_owned(), self.events.clone())
        })
    }
}

/// Absolute paths, each of which stands for files that exist.
fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if paths.iter().any(|path| path.as_os_str() == "-") {
        let text = "the standard input can be read only once, and later runs read the files \
                    again; write it to a file first, for example `cat > events.jsonl`";
        return Err(BadInput(text.into()).into());
    }
    for path in input_files(paths)? {
        fs::metadata(&path)
            .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    }
    paths.iter().map(|path| Ok(std::path::absolute(path)?)).collect()
}

/// The file itself, or the files of a folder in the order of their names.
fn files_of(path: PathBuf) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path]);
    }
    let entries = fs::read_dir(&path)
        .map_err(|error| BadInput(format!("cannot read {}: {error}", path.display())))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::parse;

    #[test]
    fn a_shop_log_and_the_log_of_a_server_are_one_dataset() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("clicks.csv"), "user,item,timestamp\n1,b,2\n1,a,1\n2,c,1\n").unwrap();
        fs::write(path("items.csv"), "item,title\na,Apple\nb,Bread\n").unwrap();
        fs::create_dir(path("log")).unwrap();
        let line = "{\"user\":\"1\",\"item\":\"d\",\"timestamp\":0}\n";
        fs::write(path("log/interactions.jsonl"), line).unwrap();

        let log: LogOptions = parse(Vec::<&str>::new()).unwrap();
        let events = [path("clicks.csv"), path("log")];
        let inputs = Inputs::new(&events, &[path("items.csv")], &log).unwrap();
        let nobody = ForgottenUsers::default();
        let digest = inputs.digest(&nobody).unwrap();
        let dataset = inputs.read("shop", nobody.clone()).unwrap().dataset;
        let ids = |user: usize| -> Vec<&str> {
            let items = dataset.sequences[user].items.iter();
            items.map(|item| dataset.catalogue.get(*item).id.as_str()).collect()
        };
        assert_eq!((ids(0), ids(1)), (vec!["d", "a", "b"], vec!["c"]));
        assert_eq!(dataset.catalogue.items()[0].title, "Apple");

        inputs.record(folder.path()).unwrap();
        assert_eq!(Inputs::recorded(folder.path()), Some(inputs.clone()));
        assert_eq!(inputs.clone().with(&[], &[]).unwrap(), inputs);
        fs::write(path("clicks.csv"), "user,item,timestamp\n1,b,2\n").unwrap();
        assert_ne!(inputs.digest(&nobody).unwrap(), digest);
        let said = inputs.clone().with(&[path("missing.csv")], &[]).unwrap_err();
        assert!(said.to_string().contains("missing.csv"), "{said}");
        let said = inputs.with(&["-".into()], &[]).unwrap_err();
        assert!(said.to_string().contains("read only once"), "{said}");
    }
}
