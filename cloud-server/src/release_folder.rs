//! Where the catalogue, the artefacts and the language models come from, and how a server takes
//! up a new release of a recommender.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_dataset::{Catalogue, Dataset};
use tandem_generator::LoadOptions;

use crate::{
    artifacts::{ArtifactStore, read_current},
    config::Args,
    models::{ModelFile, Models, check_names},
    server::{StartError, check_gguf},
    state::{AppState, DatasetInfo, Recommender},
};

/// Time between two looks at the file `current`.
const POLL: Duration = Duration::from_secs(1);
/// Time until a refused release is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks at whether a language model is loaded.
const LOADING_POLL: Duration = Duration::from_millis(20);

/// The file of a release's language model.
const LANGUAGE_MODEL: &str = "language-model.gguf";

/// How language models are loaded.
#[derive(Clone, Debug)]
pub(crate) struct ModelOptions {
    pub(crate) load: LoadOptions,
    /// Capacity of each queue.
    pub(crate) queue: usize,
}

/// What the command line names.
#[derive(Debug)]
pub(crate) enum Source {
    /// Dataset folder, artefact folder and language models.
    Files { data: PathBuf, artifacts: PathBuf, gguf: Vec<ModelFile> },
    /// A folder of `tandem quickstart`: `releases/<name>/` with `data/`, `language-model.gguf`
    /// and a file `artifacts` that names a folder of `artifacts/`; `current` names the release
    /// in use.
    Release(PathBuf),
}

/// Everything of a recommender but its running language models.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) dataset: DatasetInfo,
    pub(crate) artifacts: ArtifactStore,
    gguf: Vec<ModelFile>,
}

impl Source {
    /// # Errors
    /// [`StartError::Source`] if neither is given, which the command line refuses.
    pub(crate) fn of(args: &Args) -> Result<Self, StartError> {
        match (&args.release, &args.data, &args.artifacts) {
            (Some(folder), _, _) => Ok(Self::Release(folder.clone())),
            (None, Some(data), Some(artifacts)) => Ok(Self::Files {
                data: data.clone(),
                artifacts: artifacts.clone(),
                gguf: args.gguf.clone(),
            }),
            _ => Err(StartError::Source),
        }
    }

    /// The folder of releases, if there is one.
    pub(crate) fn release_folder(&self) -> Option<&Path> {
        match self {
            Self::Release(folder) => Some(folder),
            Self::Files { .. } => None,
        }
    }

    /// Reads and checks everything but the weights of the language models.
    ///
    /// # Errors
    /// [`StartError`] for the first part that cannot be used.
    pub(crate) fn read(&self) -> Result<Parts, StartError> {
        match self {
            Self::Files { data, artifacts, gguf } => {
                Parts::read(data, gguf, |catalogue| ArtifactStore::open(artifacts, catalogue))
            }
            Self::Release(folder) => read_release(folder, &read_current(&folder.join("current"))?),
        }
    }
}

/// Reads the release `name` of `folder`.
fn read_release(folder: &Path, name: &str) -> Result<Parts, StartError> {
    let release = folder.join("releases").join(name);
    let path = release.join(LANGUAGE_MODEL);
    let model = ModelFile { name: "language-model".to_owned(), path };
    Parts::read(&release.join("data"), &[model], |catalogue| {
        let pointer = release.join("artifacts");
        ArtifactStore::open_named_by(&pointer, &folder.join("artifacts"), catalogue)
    })
}

impl Parts {
    fn read(
        data: &Path,
        gguf: &[ModelFile],
        open: impl FnOnce(Arc<Catalogue>) -> Result<ArtifactStore, crate::ArtifactError>,
    ) -> Result<Self, StartError> {
        let Dataset { name, catalogue, notice, .. } = Dataset::load(data)?;
        let catalogue = Arc::new(catalogue);
        let artifacts = open(Arc::clone(&catalogue))?;
        check_names(gguf.iter().map(|model| model.name.as_str()))?;
        gguf.iter().try_for_each(|model| check_gguf(&model.path))?;
        let dataset = DatasetInfo { name, notice };
        Ok(Self { catalogue, dataset, artifacts, gguf: gguf.to_vec() })
    }

    /// Starts the language models, which load in the background.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(self, options: &ModelOptions) -> Result<Recommender, StartError> {
        let Self { catalogue, dataset, artifacts, gguf } = self;
        let models = Models::start(&gguf, &catalogue, &options.load, options.queue)?;
        Ok(Recommender { catalogue, dataset, artifacts, models })
    }
}

/// A thread that follows the file `current` of a folder of releases.
///
/// A new release is loaded beside the one in use and put in use when its language model is
/// ready. Requests that have begun are answered by the earlier one, whose models are stopped
/// afterwards. A release that cannot be loaded is refused with a warning and tried again later.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Dropped to stop the thread.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Follower {
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        folder: PathBuf,
        state: Arc<AppState>,
        options: ModelOptions,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let in_use = read_current(&folder.join("current")).unwrap_or_default();
        let wait = move |time: Duration| {
            matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout))
        };
        let mut following =
            Following { folder, state, options, in_use, refused: None, retired: Vec::new() };
        let run = move || {
            while wait(POLL) {
                following.look(&wait);
            }
            following.retire(Duration::ZERO);
        };
        let thread = thread::Builder::new().name("releases".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Stops the thread. Returns whether it and all earlier language models have ended within
    /// `patience`.
    pub(crate) fn stop(self, patience: Duration) -> bool {
        drop(self.stop);
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().is_ok()
    }
}

/// The state of the thread.
struct Following {
    folder: PathBuf,
    state: Arc<AppState>,
    options: ModelOptions,
    /// Name of the release in use.
    in_use: String,
    /// Name of the last refused release, and when it was refused.
    refused: Option<(String, Instant)>,
    /// Earlier recommenders that may still answer requests.
    retired: Vec<Arc<Recommender>>,
}

impl Following {
    /// Takes up a new release, if there is one. `wait` returns whether to go on after a time.
    fn look(&mut self, wait: &impl Fn(Duration) -> bool) {
        self.retire(Duration::ZERO);
        // The file is replaced atomically; without it, the release in use stays.
        let Ok(name) = read_current(&self.folder.join("current")) else { return };
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|(refused, at)| *refused == name && at.elapsed() < RETRY_INTERVAL);
        if name == self.in_use || is_refused {
            return;
        }
        match self.load(&name, wait) {
            Ok(Some(recommender)) => {
                self.retired.push(self.state.recommender.replace(Arc::new(recommender)));
                tracing::info!(from = self.in_use, to = name, "switched to a new release");
                self.in_use = name;
                self.refused = None;
            }
            // The server stops.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, in_use = self.in_use, refused = name, "refused a release");
                self.refused = Some((name, Instant::now()));
            }
        }
    }

    /// The release with its language model loaded; `None` if the server stops meanwhile.
    fn load(
        &self,
        name: &str,
        wait: &impl Fn(Duration) -> bool,
    ) -> Result<Option<Recommender>, StartError> {
        let recommender = read_release(&self.folder, name)?.start(&self.options)?;
        while !recommender.models.are_ready() {
            if let Some(reason) = recommender.models.load_error() {
                return Err(StartError::Model(reason));
            }
            if !wait(LOADING_POLL) {
                return Ok(None);
            }
        }
        Ok(Some(recommender))
    }

    /// Stops the models of earlier recommenders that answer no more requests.
    fn retire(&mut self, patience: Duration) {
        self.retired.retain(|retired| {
            // The only handle: no request uses it, and no new one can.
            Arc::strong_count(retired) > 1 || !retired.models.stop(patience)
        });
    }
}
