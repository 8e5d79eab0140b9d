//! Reads the catalogue, the artefacts and the language models of a server, also those of a release.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tandem_dataset::{Catalogue, Dataset, files::sha256_hex_of_file};
use tandem_generator::{LoadOptions, ranking_signals::RankingSignals};

use crate::{
    artifacts::{ArtifactStore, read_current},
    config::Source,
    embedder::Embedder,
    files::check_regular,
    models::{ModelFile, Models, check_names},
    recommender::{DatasetInfo, Recommender},
    start_error::StartError,
    trial::{Trial, try_models},
};

/// Folder of the releases.
pub(crate) const RELEASES: &str = "releases";
/// Folder of the artefacts of all releases, and the file of a release that names its own.
pub(crate) const ARTIFACTS: &str = "artifacts";
/// The file that names the release in use.
pub(crate) const CURRENT: &str = "current";
/// The file of a release's language model.
pub(crate) const LANGUAGE_MODEL: &str = "language-model.gguf";
/// The folder of a release's ranking signals; a release may have none.
pub(crate) const SIGNALS: &str = "signals";

/// Who makes the lists of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListMaker {
    /// Its own language models.
    ThisServer,
    /// Other servers; this one reads no language model.
    Generators,
}

/// How language models are loaded.
#[derive(Clone, Debug)]
pub(crate) struct ModelOptions {
    pub(crate) maker: ListMaker,
    pub(crate) load: LoadOptions,
    /// Capacity of each queue.
    pub(crate) queue: usize,
    /// The embedding model, if there is one.
    pub(crate) embedder: Option<Embedder>,
}

/// Everything of a recommender but its running language models.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) dataset: DatasetInfo,
    pub(crate) artifacts: Arc<ArtifactStore>,
    /// The dataset folder.
    data: PathBuf,
    gguf: Vec<ModelFile>,
    signals: Option<Arc<RankingSignals>>,
    /// Whether items of the history may be candidates.
    repeats: bool,
}

/// Reads and checks everything but the weights of the language models. Returns also the folder of
/// releases and the name of the release, if it is from such a folder.
///
/// # Errors
/// [`StartError`] for the first part that cannot be used.
pub(crate) fn read_source(
    source: &Source,
    maker: ListMaker,
) -> Result<(Parts, Option<(PathBuf, String)>), StartError> {
    match source {
        Source::Files { data, artifacts, gguf, signals } => {
            let open = |catalogue| ArtifactStore::open(artifacts, catalogue);
            Ok((Parts::read(data, gguf, signals.as_deref(), open)?, None))
        }
        Source::Release(folder) => {
            let pointer = folder.join(CURRENT);
            if !pointer.exists() {
                return Err(StartError::NoReleases {
                    path: folder.clone(),
                    found: match folder.metadata() {
                        Ok(it) if it.is_dir() => "has no file `current`",
                        Ok(_) => "is a file",
                        Err(_) => "does not exist",
                    },
                });
            }
            let name = read_current(&pointer)?;
            Ok((read_release(folder, &name, maker)?, Some((folder.clone(), name))))
        }
    }
}

/// Reads the release `name` of `folder` and verifies its artefacts.
///
/// # Errors
/// [`StartError`] for the first part that cannot be used.
pub(crate) fn read_release(
    folder: &Path,
    name: &str,
    maker: ListMaker,
) -> Result<Parts, StartError> {
    let release = folder.join(RELEASES).join(name);
    let model =
        || ModelFile { name: "language-model".to_owned(), path: release.join(LANGUAGE_MODEL) };
    let models: Vec<_> = (maker == ListMaker::ThisServer).then(model).into_iter().collect();
    let signals = Some(release.join(SIGNALS)).filter(|folder| folder.exists());
    Parts::read(&release.join("data"), &models, signals.as_deref(), |catalogue| {
        let pointer = release.join(ARTIFACTS);
        ArtifactStore::open_named_by(&pointer, &folder.join(ARTIFACTS), catalogue)
    })
}

impl Parts {
    fn read(
        data: &Path,
        gguf: &[ModelFile],
        signals: Option<&Path>,
        open: impl FnOnce(Arc<Catalogue>) -> Result<ArtifactStore, crate::ArtifactError>,
    ) -> Result<Self, StartError> {
        let Dataset { name, catalogue, notice, repeats, .. } = Dataset::load(data)?;
        let catalogue = Arc::new(catalogue);
        let artifacts = Arc::new(open(Arc::clone(&catalogue))?);
        // A server with generators has no models.
        if !gguf.is_empty() {
            check_names(gguf.iter().map(|model| model.name.as_str()))?;
        }
        gguf.iter().try_for_each(|model| check_gguf(&model.path))?;
        let signals = signals.map(|folder| RankingSignals::read(folder, &catalogue)).transpose()?;
        let signals = signals.map(Arc::new);
        let dataset = DatasetInfo { name, notice };
        let (data, gguf) = (data.to_owned(), gguf.to_vec());
        Ok(Self { catalogue, dataset, artifacts, data, gguf, signals, repeats })
    }

    /// Checks that the text vectors of the signals are of the embedding model, if there is one.
    ///
    /// # Errors
    /// [`StartError::Embedder`] if they are not.
    pub(crate) fn check_embedder(&self, embedder: Option<&Embedder>) -> Result<(), StartError> {
        let check = |embedder: &Embedder| embedder.check(self.signals.as_deref());
        Ok(embedder.map_or(Ok(()), check)?)
    }

    /// Tries the language models in other processes, and checks that the signals were fitted for
    /// the first. `wait` waits for a duration and returns whether to continue.
    ///
    /// # Errors
    /// [`StartError::Trial`] for the first model that cannot be used, [`StartError::Signals`] for
    /// signals of another model.
    pub(crate) fn try_models(
        &self,
        options: &LoadOptions,
        wait: &impl Fn(Duration) -> bool,
    ) -> Result<Trial, StartError> {
        let trial = try_models(&self.gguf, &self.data, options, wait)?;
        if let (Trial::Passed, Some(signals), Some(first)) =
            (trial, &self.signals, self.gguf.first())
        {
            let unreadable =
                |source| StartError::ModelUnreadable { path: first.path.clone(), source };
            let sha256 = sha256_hex_of_file(&first.path).map_err(unreadable)?;
            signals.check_language_model(&sha256)?;
        }
        Ok(trial)
    }

    /// Starts the language models, which load in the background.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(self, options: &ModelOptions) -> Result<Recommender, StartError> {
        let Self { catalogue, dataset, artifacts, gguf, signals, repeats, .. } = self;
        let load = LoadOptions { repeats, ..options.load.clone() };
        let models = Models::start(&gguf, &catalogue, signals.as_ref(), &load, options.queue)?;
        Ok(Recommender { catalogue, dataset, artifacts, models, signals })
    }
}

/// Checks the magic bytes of a GGUF file, to refuse another file before the server listens.
fn check_gguf(path: &Path) -> Result<(), StartError> {
    let unreadable = |source| StartError::ModelUnreadable { path: path.to_owned(), source };
    let mut magic = [0; 4];
    check_regular(path).map_err(unreadable)?;
    let mut file = fs::File::open(path).map_err(unreadable)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *b"GGUF" => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unreadable(error)),
        _ => Err(StartError::NotGguf { path: path.to_owned() }),
    }
}
