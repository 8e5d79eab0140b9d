//! What a running demo still prepares while its page is up. The page reads it from a file of its
//! folder and says so (`web/src/parts.ts`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::failure::Failure;

/// Name of the file.
pub(crate) const FILE: &str = "parts.json";

/// A part of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// The page for own data.
    OwnData,
    /// The documentation site.
    Documentation,
    /// The shop of generated products.
    SecondShop,
    /// Models that were trained longer than those of the first page.
    Training,
    /// The WebGPU module.
    Webgpu,
}

impl Part {
    /// What the demo lacks without it.
    pub(crate) fn absence(self) -> &'static str {
        match self {
            Self::OwnData => "there is no page for own data",
            Self::Documentation => "there is no documentation",
            Self::SecondShop => "there is no second shop",
            Self::Training => "the models stay those of the brief training",
            Self::Webgpu => "the page has no WebGPU",
        }
    }
}

/// How far a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Waiting,
    UnderWay,
    Ready,
    Failed,
}

#[derive(Debug, Serialize)]
struct Entry {
    part: Part,
    state: State,
}

/// All parts in the order in which they are prepared.
#[derive(Debug)]
pub(crate) struct Parts {
    file: PathBuf,
    entries: Vec<Entry>,
}

impl Parts {
    /// Writes the file into `folder`; every part waits.
    pub(crate) fn new(
        folder: &Path,
        parts: impl IntoIterator<Item = Part>,
    ) -> Result<Self, Failure> {
        let entries = parts.into_iter().map(|part| Entry { part, state: State::Waiting }).collect();
        let parts = Self { file: folder.join(FILE), entries };
        parts.write()?;
        Ok(parts)
    }

    /// Sets the state of a part. One that is not among them is ignored.
    pub(crate) fn set(&mut self, part: Part, state: State) -> Result<(), Failure> {
        for entry in self.entries.iter_mut().filter(|entry| entry.part == part) {
            entry.state = state;
        }
        self.write()
    }

    /// Replaces the file at once: a page may read it at any time.
    fn write(&self) -> Result<(), Failure> {
        let json = serde_json::to_string(&self.entries)
            .map_err(|error| Failure::Check(format!("writing {FILE}: {error}")))?;
        let unfinished = self.file.with_extension("new");
        fs::write(&unfinished, json).map_err(Failure::file(&unfinished))?;
        fs::rename(&unfinished, &self.file).map_err(Failure::file(&self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_follows_the_parts() {
        let folder = tempfile::tempdir().unwrap();
        let read = || fs::read_to_string(folder.path().join(FILE)).unwrap();
        let mut parts = Parts::new(folder.path(), [Part::SecondShop, Part::Webgpu]).unwrap();
        parts.set(Part::SecondShop, State::UnderWay).unwrap();
        parts.set(Part::Training, State::Ready).unwrap();
        assert_eq!(
            read(),
            r#"[{"part":"second-shop","state":"under-way"},{"part":"webgpu","state":"waiting"}]"#
        );
        parts.set(Part::SecondShop, State::Failed).unwrap();
        parts.set(Part::Webgpu, State::Ready).unwrap();
        assert_eq!(
            read(),
            r#"[{"part":"second-shop","state":"failed"},{"part":"webgpu","state":"ready"}]"#
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
