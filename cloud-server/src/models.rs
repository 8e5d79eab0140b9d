use std::{
    future::{Future, poll_fn},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tandem_dataset::Catalogue;
use tandem_generator::{
    LoadOptions, Model,
    catalogue_index::{CatalogueIndex, IndexOptions},
    ranking_signals::RankingSignals,
};
use tandem_protocol::{EngineKind, HostedModel};

use crate::{
    error::ApiError,
    worker::{Readiness, Worker},
};

/// Maximum length of a model name in bytes.
const MAX_NAME: usize = 100;

/// The value of `--gguf`: `NAME=FILE` or `FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// Name in requests and responses; by default the file name without its extension.
    pub name: String,
    /// The GGUF file.
    pub path: PathBuf,
}

/// The text is not the value of `--gguf`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FILE or NAME=FILE with a name of at most {MAX_NAME} bytes, found `{found}`")]
pub struct ModelFileError {
    /// The text.
    pub found: String,
}

impl FromStr for ModelFile {
    type Err = ModelFileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = match text.split_once('=') {
            // A path may contain an equals sign, but a name contains no path separator.
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
            && name.len() <= MAX_NAME
            && name.trim() == name
            && !name.contains(char::is_control);
        if !is_name || path.as_os_str().is_empty() {
            return Err(ModelFileError { found: text.to_owned() });
        }
        Ok(Self { name, path })
    }
}

/// The language models of a server. Each has its own thread, queue and context: a list from
/// item tokens takes a millisecond and must not wait for titles, which take hundreds.
#[derive(Debug)]
pub struct Models {
    /// Never empty; the first is the default.
    models: Vec<ServedModel>,
}

/// One language model of a server.
#[derive(Debug)]
pub struct ServedModel {
    /// Name in requests and responses.
    pub name: String,
    /// Its thread and queue.
    pub worker: Worker,
}

/// Why models cannot be served together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// There is no model.
    #[error("expected at least one language model; give a GGUF file with --gguf")]
    None,
    /// Two models have the same name.
    #[error("two language models have the name `{name}`; set distinct names with --gguf NAME=FILE")]
    SameName {
        /// The name.
        name: String,
    },
}

impl Models {
    /// Serves these models; the first is the default.
    ///
    /// # Errors
    /// If there is no model, or two have the same name.
    pub fn new(models: Vec<ServedModel>) -> Result<Self, ModelsError> {
        check_names(models.iter().map(|model| model.name.as_str()))?;
        Ok(Self { models })
    }

    /// Starts a worker with a queue of `capacity` jobs for each file. The signals are for the first
    /// model.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        files: &[ModelFile],
        catalogue: &Arc<Catalogue>,
        signals: Option<&Arc<RankingSignals>>,
        options: &LoadOptions,
        capacity: usize,
    ) -> io::Result<Self> {
        let mut signals = signals.cloned();
        let models = files.iter().map(|ModelFile { name, path }| {
            let signals = signals.take();
            let (catalogue, path) = (Arc::clone(catalogue), path.clone());
            let options = LoadOptions { name: Some(name.clone()), ..options.clone() };
            let load = move || {
                let mut model = Model::load(&path, catalogue, &options)?;
                if let Some(signals) = signals {
                    model = model.with_signals(signals)?;
                }
                if model.catalogue().len() >= options.index_from {
                    index(&mut model, &path);
                }
                Ok(model)
            };
            Ok(ServedModel { name: name.clone(), worker: Worker::start(load, capacity)? })
        });
        Ok(Self { models: models.collect::<io::Result<_>>()? })
    }

    /// The model with this name, or the default model without a name.
    ///
    /// # Errors
    /// [`ApiError::InvalidField`] with the names of all models.
    pub fn find(&self, name: Option<&str>) -> Result<&ServedModel, ApiError> {
        let Some(name) = name else { return Ok(&self.models[0]) };
        self.models.iter().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<String> =
                self.models.iter().map(|model| format!("`{}`", model.name)).collect();
            ApiError::InvalidField {
                field: "model".to_owned(),
                detail: format!("expected one of {}", names.join(", ")),
            }
        })
    }

    /// All models, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &ServedModel> {
        self.models.iter()
    }

    /// Whether all models are loaded.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        self.iter().all(|model| matches!(model.worker.readiness(), Readiness::Ready { .. }))
    }

    /// The reason why a model could not be loaded, if one could not.
    #[must_use]
    pub fn load_error(&self) -> Option<String> {
        self.iter().find_map(|model| match model.worker.readiness() {
            Readiness::Failed(reason) => Some(reason),
            Readiness::Loading | Readiness::Ready { .. } => None,
        })
    }

    /// Waits until a model has failed to load and returns the reason; never returns if all
    /// succeed.
    pub async fn failure(&self) -> String {
        let mut failures: Vec<_> =
            self.models.iter().map(|model| Box::pin(model.worker.failure())).collect();
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

    /// Waits until all models are loaded; never returns if one fails.
    pub async fn ready(&self) {
        for model in &self.models {
            model.worker.ready().await;
        }
    }

    /// Answers all waiting requests with [`WorkerError::Stopping`](crate::WorkerError::Stopping).
    pub fn refuse_waiting(&self) {
        self.models.iter().for_each(|model| model.worker.refuse_waiting());
    }

    /// Stops all workers within `patience`. Returns whether all threads have ended.
    #[must_use]
    pub fn stop(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        for model in &self.models {
            model.worker.close();
        }
        let mut ended = true;
        // Waits for every worker, even if an earlier one is still running.
        for model in &self.models {
            ended &= model.worker.stop(until.saturating_duration_since(Instant::now()));
        }
        ended
    }
}

impl ServedModel {
    /// The status of the model for clients.
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

/// Checks that there is at least one name and that all are distinct.
///
/// # Errors
/// [`ModelsError`] if not.
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

/// Makes the index of a large catalogue. Without one, lists are exact and take longer.
fn index(model: &mut Model, path: &Path) {
    if model.kind() != EngineKind::ItemTokens {
        return;
    }
    let start = Instant::now();
    match model.build_index(path, IndexOptions::default()) {
        Ok(()) => tracing::info!(
            model = model.info().name,
            items = model.catalogue().len(),
            cells = model.index().map_or(0, CatalogueIndex::cells),
            seconds = start.elapsed().as_secs_f64(),
            "made the index of the catalogue"
        ),
        Err(error) => tracing::warn!(
            model = model.info().name,
            %error,
            "the catalogue has no index, so lists take longer"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_file_by_default() {
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
    fn model_names_must_be_distinct() {
        let same = ModelsError::SameName { name: "b".to_owned() };
        assert_eq!(check_names(["a", "b", "c", "b"].into_iter()), Err(same));
        assert_eq!(check_names(["a", "b"].into_iter()), Ok(()));
        assert_eq!(check_names(std::iter::empty()), Err(ModelsError::None));
    }
}
