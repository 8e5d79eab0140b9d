//! Reads the catalogue, the artefacts and the language models, and switches to new releases of a
//! recommender.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_dataset::{Catalogue, Dataset};
use tandem_generator::{LoadOptions, ranking_signals::RankingSignals};
use tandem_storage::StorageError;

use crate::{
    artifacts::{ArtifactStore, read_current},
    config::Source,
    live_counts::LiveCounts,
    models::{ModelFile, Models, check_names},
    start_error::StartError,
    state::{AppState, DatasetInfo, Recommender},
    storage::copy_catalogue,
    trial::{Trial, try_models},
};

/// Time between two looks at the file `current`.
const POLL: Duration = Duration::from_secs(1);
/// Time until a refused release is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks at whether a language model is loaded.
const LOADING_POLL: Duration = Duration::from_millis(20);

/// The file of a release's language model.
const LANGUAGE_MODEL: &str = "language-model.gguf";
/// The folder of a release's ranking signals; a release may have none.
const SIGNALS: &str = "signals";

/// How language models are loaded.
#[derive(Clone, Debug)]
pub(crate) struct ModelOptions {
    pub(crate) load: LoadOptions,
    /// Capacity of each queue.
    pub(crate) queue: usize,
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
) -> Result<(Parts, Option<(PathBuf, String)>), StartError> {
    match source {
        Source::Files { data, artifacts, gguf, signals } => {
            let open = |catalogue| ArtifactStore::open(artifacts, catalogue);
            Ok((Parts::read(data, gguf, signals.as_deref(), open)?, None))
        }
        Source::Release(folder) => {
            let name = read_current(&folder.join("current"))?;
            Ok((read_release(folder, &name)?, Some((folder.clone(), name))))
        }
    }
}

/// Reads the release `name` of `folder`.
fn read_release(folder: &Path, name: &str) -> Result<Parts, StartError> {
    let release = folder.join("releases").join(name);
    let path = release.join(LANGUAGE_MODEL);
    let model = ModelFile { name: "language-model".to_owned(), path };
    let signals = Some(release.join(SIGNALS)).filter(|folder| folder.exists());
    Parts::read(&release.join("data"), &[model], signals.as_deref(), |catalogue| {
        let pointer = release.join("artifacts");
        ArtifactStore::open_named_by(&pointer, &folder.join("artifacts"), catalogue)
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
        check_names(gguf.iter().map(|model| model.name.as_str()))?;
        gguf.iter().try_for_each(|model| check_gguf(&model.path))?;
        let signals = signals.map(|folder| RankingSignals::read(folder, &catalogue)).transpose()?;
        let signals = signals.map(Arc::new);
        let dataset = DatasetInfo { name, notice };
        let (data, gguf) = (data.to_owned(), gguf.to_vec());
        Ok(Self { catalogue, dataset, artifacts, data, gguf, signals, repeats })
    }

    /// Tries the language models in other processes. `wait` waits for a duration and returns
    /// whether to continue.
    ///
    /// # Errors
    /// [`StartError::Trial`] for the first model that cannot be used.
    pub(crate) fn try_models(
        &self,
        options: &LoadOptions,
        wait: &impl Fn(Duration) -> bool,
    ) -> Result<Trial, StartError> {
        Ok(try_models(&self.gguf, &self.data, options, wait)?)
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
    let mut file = fs::File::open(path).map_err(unreadable)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *b"GGUF" => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unreadable(error)),
        _ => Err(StartError::NotGguf { path: path.to_owned() }),
    }
}

/// A thread that follows the file `current` of a folder of releases.
///
/// The language model of a new release is tried in another process, so that one that aborts the
/// process leaves this server as it is. Then the release is loaded beside the one in use and put
/// in use when its language model is ready. Requests that have begun are answered by the earlier one, whose models are stopped
/// afterwards. A release that cannot be loaded is refused with a warning and tried again later.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Dropped to stop the thread.
    stop: Sender<()>,
    /// Returns whether all earlier language models have ended.
    thread: JoinHandle<bool>,
}

impl Follower {
    /// Begins with the release `in_use` of `folder`.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        folder: PathBuf,
        in_use: String,
        state: Arc<AppState>,
        options: ModelOptions,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let wait = move |time: Duration| {
            matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout))
        };
        let mut following =
            Following { folder, state, options, in_use, refused: None, retired: Vec::new() };
        let run = move || {
            while wait(POLL) {
                following.look(&wait);
            }
            following.retire();
            following.retired.is_empty()
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
        self.thread.join().unwrap_or(false)
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
    /// Switches to a new release, if there is one. `wait` waits for a duration and returns whether to
    /// continue.
    fn look(&mut self, wait: &impl Fn(Duration) -> bool) {
        self.retire();
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
            Ok(Some(recommender)) if recommender.models.are_ready() => {
                if let Some((log, signals)) =
                    self.state.event_sink().zip(recommender.signals.as_ref())
                    && let Err(error) =
                        log.replay(&LiveCounts::default(), signals, &recommender.catalogue)
                {
                    tracing::warn!(%error, "the new release does not count the newest events");
                }
                if let Err(error) = self.use_items(&recommender.catalogue) {
                    tracing::warn!(%error, "the database does not have the new items yet");
                }
                self.retired.push(self.state.recommender.replace(Arc::new(recommender)));
                tracing::info!(from = self.in_use, to = name, "switched to a new release");
                self.in_use = name;
                self.refused = None;
            }
            // The server stops while it loads.
            Ok(Some(recommender)) => self.retired.push(Arc::new(recommender)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, in_use = self.in_use, refused = name, "refused a release");
                self.refused = Some((name, Instant::now()));
                self.state.recommender.refused();
            }
        }
    }

    /// Follows the items of a new catalogue and copies them into the database. If that fails, lists
    /// use the fields of the catalogue.
    fn use_items(&self, catalogue: &Arc<Catalogue>) -> Result<(), StorageError> {
        let AppState { items, storage, .. } = &*self.state;
        items.follow(catalogue);
        match storage {
            Some(storage) => storage.block_on(copy_catalogue(items, storage, catalogue)).map(drop),
            None => Ok(()),
        }
    }

    /// The release with its language model loaded, unless the server stops meanwhile; `None` if
    /// it stops before.
    fn load(
        &self,
        name: &str,
        wait: &impl Fn(Duration) -> bool,
    ) -> Result<Option<Recommender>, StartError> {
        let parts = read_release(&self.folder, name)?;
        if parts.try_models(&self.options.load, wait)? == Trial::Stopped {
            return Ok(None);
        }
        let recommender = parts.start(&self.options)?;
        while !recommender.models.are_ready() {
            if let Some(reason) = recommender.models.load_error() {
                return Err(StartError::Model(reason));
            }
            if !wait(LOADING_POLL) {
                break;
            }
        }
        Ok(Some(recommender))
    }

    /// Stops the models of earlier recommenders that answer no more requests.
    fn retire(&mut self) {
        self.retired.retain(|retired| {
            // The only handle: no request uses it, and no new one can.
            Arc::strong_count(retired) > 1 || !retired.models.stop(Duration::ZERO)
        });
    }
}
