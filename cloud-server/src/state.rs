use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use tandem_dataset::Catalogue;

use crate::{
    artifacts::ArtifactStore,
    config::{Limits, Origin},
    events::EventLog,
    models::Models,
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
    /// The event log, if one is kept.
    pub events: Option<Arc<EventLog>>,
    /// Other origins whose pages may call this server.
    pub allowed_origins: Vec<Origin>,
}

impl AppState {
    /// The recommender in use. A handler takes it once, so that all parts of its answer belong
    /// together.
    #[must_use]
    pub fn recommender(&self) -> Arc<Recommender> {
        self.recommender.get()
    }
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
    pub artifacts: ArtifactStore,
    /// The language models.
    pub models: Models,
}

/// The recommender in use. Replacing it affects new requests only: a request that has begun
/// keeps the recommender that it began with until it is answered.
#[derive(Debug)]
pub struct CurrentRecommender(RwLock<Arc<Recommender>>);

impl CurrentRecommender {
    /// Begins with `recommender`.
    #[must_use]
    pub fn new(recommender: Arc<Recommender>) -> Self {
        Self(RwLock::new(recommender))
    }

    /// The recommender in use.
    #[must_use]
    pub fn get(&self) -> Arc<Recommender> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another recommender in use, whose models must be ready, and returns the earlier one.
    pub fn replace(&self, recommender: Arc<Recommender>) -> Arc<Recommender> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, recommender)
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
