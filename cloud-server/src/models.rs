use std::{
    future::{Future, poll_fn},
    io,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tandem_dataset::Catalogue;
use tandem_generator::{LoadOptions, Model};
use tandem_protocol::HostedModel;

use crate::{ApiError, Readiness, Worker};

/// Longest name of a language model, in bytes.
const LONGEST_NAME: usize = 100;

/// A language model to be hosted: `NAME=FILE`, or a file alone, whose name without its
/// ending then serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// What requests and answers call it.
    pub name: String,
    /// The GGUF file.
    pub path: PathBuf,
}

impl FromStr for ModelFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = match text.split_once('=') {
            // A path may hold an equals sign; a name holds no separator.
            Some((name, path)) if !name.contains(['/', '\\']) => {
                (name.to_owned(), PathBuf::from(path))
            }
            _ => {
                let path = PathBuf::from(text);
                let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                (stem.unwrap_or_default(), path)
            }
        };
        let is_name = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name.trim() == name
            && !name.contains(char::is_control);
        if !is_name || path.as_os_str().is_empty() {
            return Err(format!(
                "expected FILE or NAME=FILE with a name of at most {LONGEST_NAME} bytes, found `{text}`"
            ));
        }
        Ok(Self { name, path })
    }
}

/// The language models of one server. Each has a thread, a queue and a context of its own:
/// a list of item tokens takes a millisecond and must not wait behind titles, which take
/// hundreds, and contexts belong to their models anyway.
#[derive(Debug)]
pub struct Models {
    /// Never empty; the first is the default.
    hosted: Vec<Hosted>,
}

/// One language model of a server.
#[derive(Debug)]
pub struct Hosted {
    /// What requests and answers call it.
    pub name: String,
    /// Its thread.
    pub worker: Worker,
}

/// Why models cannot be hosted together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// There is none.
    #[error("expected at least one language model; give a GGUF file with --gguf")]
    None,
    /// Two have one name.
    #[error("two language models are called `{name}`; give them names with --gguf NAME=FILE")]
    SameName {
        /// The name.
        name: String,
    },
}

impl Models {
    /// Hosts these, the first as the default.
    ///
    /// # Errors
    /// If there is none, or two have one name.
    pub fn new(hosted: Vec<Hosted>) -> Result<Self, ModelsError> {
        check_names(hosted.iter().map(|model| model.name.as_str()))?;
        Ok(Self { hosted })
    }

    /// Starts a worker for each file, `places` waiting before each at most.
    ///
    /// # Errors
    /// If a thread cannot be had.
    pub(crate) fn start(
        files: &[ModelFile],
        catalogue: &Arc<Catalogue>,
        options: &LoadOptions,
        places: usize,
    ) -> io::Result<Self> {
        let hosted = files.iter().map(|ModelFile { name, path }| {
            let (catalogue, path) = (Arc::clone(catalogue), path.clone());
            let options = LoadOptions { name: Some(name.clone()), ..options.clone() };
            let load = move || Model::load(&path, catalogue, &options);
            Ok(Hosted { name: name.clone(), worker: Worker::start(load, places)? })
        });
        Ok(Self { hosted: hosted.collect::<io::Result<_>>()? })
    }

    /// The model of this name, the first if none is given.
    ///
    /// # Errors
    /// [`ApiError::InvalidField`] that names those there are.
    pub fn find(&self, name: Option<&str>) -> Result<&Hosted, ApiError> {
        let Some(name) = name else { return Ok(&self.hosted[0]) };
        self.hosted.iter().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<String> =
                self.hosted.iter().map(|model| format!("`{}`", model.name)).collect();
            ApiError::InvalidField {
                field: "model".to_owned(),
                detail: format!("expected one of {}", names.join(", ")),
            }
        })
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Hosted> {
        self.hosted.iter()
    }

    /// Whether all are loaded.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        self.iter().all(|model| matches!(model.worker.readiness(), Readiness::Ready { .. }))
    }

    /// Waits until one has failed to load, and says why; never ends if all succeed.
    pub async fn failure(&self) -> String {
        let mut failures: Vec<_> =
            self.hosted.iter().map(|model| Box::pin(model.worker.failure())).collect();
        poll_fn(|context| {
            let first =
                failures.iter_mut().find_map(|failure| match failure.as_mut().poll(context) {
                    Poll::Ready(reason) => Some(reason),
                    Poll::Pending => None,
                });
            first.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Stops all within `patience`; whether all have ended.
    #[must_use]
    pub fn stop(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        for model in &self.hosted {
            model.worker.close();
        }
        let mut ended = true;
        // Every one is waited for, even if an earlier one still computes.
        for model in &self.hosted {
            ended &= model.worker.stop(until.saturating_duration_since(Instant::now()));
        }
        ended
    }
}

impl Hosted {
    /// The model as it is told to clients.
    #[must_use]
    pub fn status(&self) -> HostedModel {
        let name = self.name.clone();
        match self.worker.readiness() {
            Readiness::Ready { info, kind } => {
                HostedModel { name, ready: true, engine: Some(kind), sha256: Some(info.sha256) }
            }
            Readiness::Loading | Readiness::Failed(_) => {
                HostedModel { name, ready: false, engine: None, sha256: None }
            }
        }
    }
}

/// Refuses no names, and one name twice.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ModelsError> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Err(ModelsError::None);
    }
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(ModelsError::SameName { name: (*name).to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_alone_is_called_by_its_name() {
        let parsed = |text: &str| {
            let ModelFile { name, path } = text.parse().unwrap();
            (name, path.display().to_string())
        };
        let expected = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(parsed("models/film.Q8_0.gguf"), expected("film.Q8_0", "models/film.Q8_0.gguf"));
        assert_eq!(parsed("film=models/m.gguf"), expected("film", "models/m.gguf"));
        assert_eq!(parsed("film=a=b.gguf"), expected("film", "a=b.gguf"));
        assert_eq!(parsed("/data/a=b/m.gguf"), expected("m", "/data/a=b/m.gguf"));
        for wrong in ["", "=m.gguf", "film=", " film=m.gguf", "a\tb=m.gguf"] {
            assert!(wrong.parse::<ModelFile>().is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn names_tell_models_apart() {
        let same = ModelsError::SameName { name: "b".to_owned() };
        assert_eq!(check_names(["a", "b", "c", "b"].into_iter()), Err(same));
        assert_eq!(check_names(["a", "b"].into_iter()), Ok(()));
        assert_eq!(check_names(std::iter::empty()), Err(ModelsError::None));
    }
}
