use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tandem_dataset::Catalogue;
use tandem_generator::ranking_signals::RankingSignals;
use tandem_protocol::HostedModel;
use tandem_storage::Storage;
use tokio::sync::Semaphore;

use crate::{
    access::AccessControl,
    activations::Activations,
    artifacts::ArtifactStore,
    body_budget::BodyBudget,
    config::Limits,
    connection::Admission,
    events::EventLog,
    generators::Generators,
    live_counts::LiveCounts,
    live_items::LiveItems,
    metrics::Metrics,
    models::{Models, ServedModel},
    storage::EventSink,
    traces::Traces,
    trends::Trends,
};

/// Everything that the request handlers share.
#[derive(Debug)]
pub struct AppState {
    /// What is recommended, and by which models.
    pub recommender: CurrentRecommender,
    /// Limits of requests.
    pub limits: Limits,
    /// Folder of the static site, if one is served.
    pub site: Option<PathBuf>,
    /// Folder of the built npm package, if it is served.
    pub client: Option<PathBuf>,
    /// Whether `/docs/api` shows the description of the API.
    pub api_docs: bool,
    /// Whether `/admin` is served.
    pub admin: bool,
    /// The folder of releases, if there is one.
    pub releases: Option<Arc<Activations>>,
    /// The servers that make the lists, if this one has no language model.
    pub generators: Option<Arc<Generators>>,
    /// Where the spans of requests are sent, if anywhere.
    pub traces: Option<Traces>,
    /// The event log, if one is kept.
    pub events: Option<Arc<EventLog>>,
    /// The database, if there is one.
    pub storage: Option<Storage>,
    /// Whether events go to the database.
    pub store_events: bool,
    /// Which items may be recommended, and their fields.
    pub(crate) items: LiveItems,
    /// Memory of bodies that are arriving.
    pub(crate) bodies: BodyBudget,
    /// Counts of events for the ranking signals.
    pub(crate) live_counts: LiveCounts,
    /// How often items were chosen lately.
    pub(crate) trends: Trends,
    pub(crate) connections: Admission,
    pub(crate) metrics: Metrics,
    /// Large requests for rows are answered one at a time, beside the language models.
    pub(crate) large_rows: Semaphore,
    access: RwLock<Arc<AccessControl>>,
    draining: AtomicBool,
    in_flight: AtomicUsize,
}

/// What is recommended, and by which models. The parts belong to one catalogue; they are
/// replaced together.
#[derive(Debug)]
pub struct Recommender {
    /// The items that can be recommended.
    pub catalogue: Arc<Catalogue>,
    /// Name and terms of the dataset.
    pub dataset: DatasetInfo,
    /// The artefacts that devices load.
    pub artifacts: Arc<ArtifactStore>,
    /// The language models.
    pub models: Models,
    /// Ranking signals of the first model, if it has any.
    pub signals: Option<Arc<RankingSignals>>,
}

/// The recommender in use. Replacing it affects new requests only: a request that has begun
/// keeps the recommender that it began with until it is answered.
#[derive(Debug)]
pub struct CurrentRecommender {
    current: RwLock<Arc<Recommender>>,
    /// Earlier ones, which may still answer requests.
    earlier: Mutex<Vec<Weak<Recommender>>>,
    /// Number of attempts to use another recommender that failed.
    refusals: AtomicU64,
}

impl CurrentRecommender {
    /// Begins with `recommender`.
    #[must_use]
    pub fn new(recommender: Arc<Recommender>) -> Self {
        Self {
            current: RwLock::new(recommender),
            earlier: Mutex::default(),
            refusals: AtomicU64::new(0),
        }
    }

    /// The recommender in use.
    #[must_use]
    pub fn get(&self) -> Arc<Recommender> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another recommender in use, whose models must be ready, and returns the earlier one.
    pub fn replace(&self, recommender: Arc<Recommender>) -> Arc<Recommender> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, recommender);
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.retain(|recommender| recommender.strong_count() > 0);
        earlier.push(Arc::downgrade(&before));
        before
    }

    /// Answers all requests that wait for a language model with
    /// [`WorkerError::Stopping`](crate::WorkerError::Stopping), also those of earlier
    /// recommenders.
    pub fn refuse_waiting(&self) {
        self.get().models.refuse_waiting();
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|earlier| earlier.models.refuse_waiting());
    }

    /// Counts an attempt to use another recommender that failed.
    pub(crate) fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of attempts to use another recommender that failed.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }
}

/// Name and terms of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    /// Short name.
    pub name: String,
    /// Citation and terms of use, to be shown beside the data.
    pub notice: Option<String>,
}

impl AppState {
    /// The state of a server without site, event log and keys.
    #[must_use]
    pub fn new(recommender: Arc<Recommender>, limits: Limits) -> Self {
        let connections = &limits.connections;
        let items = LiveItems::new(&recommender.catalogue);
        Self {
            recommender: CurrentRecommender::new(recommender),
            site: None,
            client: None,
            api_docs: true,
            admin: true,
            releases: None,
            generators: None,
            traces: None,
            events: None,
            storage: None,
            store_events: false,
            items,
            bodies: BodyBudget::new(limits.body_memory),
            live_counts: LiveCounts::default(),
            trends: Trends::default(),
            connections: Admission::new(connections.total, connections.per_address),
            metrics: Metrics::default(),
            large_rows: Semaphore::new(1),
            access: RwLock::default(),
            draining: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            limits,
        }
    }

    /// The recommender in use. A handler takes it once, so that all parts of its answer belong
    /// together.
    #[must_use]
    pub fn recommender(&self) -> Arc<Recommender> {
        self.recommender.get()
    }

    /// Whether requests for candidates can be answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.generators {
            Some(generators) => generators.are_ready(),
            None => self.recommender().models.are_ready(),
        }
    }

    /// The language models that requests can name, the default first.
    #[must_use]
    pub fn hosted_models(&self) -> Vec<HostedModel> {
        match &self.generators {
            Some(generators) => generators.models(),
            None => self.recommender().models.iter().map(ServedModel::status).collect(),
        }
    }

    /// Keys, origins and rates.
    #[must_use]
    pub fn access(&self) -> Arc<AccessControl> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces keys, origins and rates.
    pub fn set_access(&self, access: AccessControl) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// Where events go; `None` if they are not accepted.
    pub(crate) fn event_sink(&self) -> Option<EventSink> {
        match (&self.storage, &self.events) {
            (Some(storage), _) if self.store_events => Some(EventSink::Storage(storage.clone())),
            (_, Some(log)) => Some(EventSink::Files(Arc::clone(log))),
            _ => None,
        }
    }

    /// From now on the server is not ready and accepts no requests for candidates.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Number of requests that are being answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Number of open connections.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.connections.open()
    }

    pub(crate) fn request_started(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
