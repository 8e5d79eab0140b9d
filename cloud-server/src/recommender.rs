//! What a server recommends, and by which models; a release replaces all of it together.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock, Weak,
    atomic::{AtomicU64, Ordering},
};

use tandem_dataset::Catalogue;
use tandem_generator::ranking_signals::RankingSignals;

use crate::{artifacts::ArtifactStore, models::Models};

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
