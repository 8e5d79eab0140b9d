use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tandem_protocol::HostedModel;
use tandem_storage::Storage;
use tokio::sync::Semaphore;

use crate::{
    access::{AccessControl, KeyFollower},
    activations::Activations,
    body_budget::BodyBudget,
    config::Limits,
    connection::Admission,
    content_tags::ContentTags,
    event_stream::EventStream,
    events::EventLog,
    generators::Generators,
    live_counts::LiveCounts,
    live_items::LiveItems,
    metrics::Metrics,
    models::ServedModel,
    recommender::{CurrentRecommender, Recommender},
    shared::{ListSharing, RedisUrl, Shared},
    shown_items::ShownItems,
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
    /// What this server shares with others, if it uses Redis.
    pub(crate) shared: Option<Shared>,
    /// Where the spans of requests are sent, if anywhere.
    pub traces: Option<Traces>,
    /// The event log, if one is kept.
    pub events: Option<Arc<EventLog>>,
    /// The database, if there is one.
    pub storage: Option<Storage>,
    /// Follows the keys of the database, if they are there.
    pub(crate) key_follower: Option<KeyFollower>,
    /// Whether events go to the database.
    pub store_events: bool,
    /// The stream through which they go, if there is one.
    pub event_stream: Option<Arc<EventStream>>,
    /// Which items may be recommended, and their fields.
    pub(crate) items: LiveItems,
    /// Entity tags of files of the site.
    pub(crate) content_tags: Arc<ContentTags>,
    /// Memory of bodies that are arriving.
    pub(crate) bodies: BodyBudget,
    /// Counts of events for the ranking signals.
    pub(crate) live_counts: LiveCounts,
    /// How often items were chosen lately.
    pub(crate) trends: Trends,
    /// The items that lists have shown lately.
    pub(crate) shown_items: ShownItems,
    pub(crate) connections: Admission,
    pub(crate) metrics: Metrics,
    /// Large requests for rows are answered one at a time, beside the language models.
    pub(crate) large_rows: Semaphore,
    access: RwLock<Arc<AccessControl>>,
    draining: AtomicBool,
    refusing: AtomicBool,
    in_flight: AtomicUsize,
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
            shared: None,
            traces: None,
            events: None,
            storage: None,
            key_follower: None,
            store_events: false,
            event_stream: None,
            items,
            content_tags: Arc::default(),
            bodies: BodyBudget::new(limits.body_memory),
            live_counts: LiveCounts::default(),
            trends: Trends::default(),
            shown_items: ShownItems::default(),
            connections: Admission::new(connections.total, connections.per_address),
            metrics: Metrics::default(),
            large_rows: Semaphore::new(1),
            access: RwLock::default(),
            draining: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            limits,
        }
    }

    /// Counts rates together with other servers that use the same Redis, and shares lists with them
    /// if `lists` says so. Redis need not answer.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn share(&mut self, url: &RedisUrl, lists: Option<ListSharing>) -> io::Result<()> {
        let shared = Shared::start(url, lists)?;
        self.metrics.extend(|registry| shared.register(registry));
        self.shared = Some(shared);
        Ok(())
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
            Some(generators) => generators.are_ready(self.recommender().catalogue.hash()),
            None => self.recommender().models.are_ready(),
        }
    }

    /// The language models that requests can name, the default first.
    #[must_use]
    pub fn hosted_models(&self) -> Vec<HostedModel> {
        match &self.generators {
            Some(generators) => generators.models(self.recommender().catalogue.hash()),
            None => self.recommender().models.iter().map(ServedModel::status).collect(),
        }
    }

    /// Whether a list may be one that another request has made.
    pub(crate) fn shares_lists(&self) -> bool {
        self.shared.as_ref().is_some_and(Shared::has_lists)
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

    /// Replaces keys, origins and rates by what is made of those in use.
    pub(crate) fn update_access(&self, update: impl FnOnce(&AccessControl) -> AccessControl) {
        let mut access = self.access.write().unwrap_or_else(PoisonError::into_inner);
        *access = Arc::new(update(&access));
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

    /// From now on requests that take long are refused, because the server ends soon.
    pub(crate) fn refuse(&self) {
        self.refusing.store(true, Ordering::Relaxed);
        self.recommender.refuse_waiting();
    }

    /// Whether requests that take long are refused.
    pub(crate) fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
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
