use std::{path::PathBuf, sync::Arc};

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
    /// The items that can be recommended.
    pub catalogue: Arc<Catalogue>,
    /// Name and terms of the dataset.
    pub dataset: DatasetInfo,
    /// The artefacts that devices load.
    pub artifacts: ArtifactStore,
    /// The language models.
    pub models: Models,
    /// Limits of requests.
    pub limits: Limits,
    /// Folder of the static site, if one is served.
    pub site: Option<PathBuf>,
    /// The event log, if one is kept.
    pub events: Option<Arc<EventLog>>,
    /// Other origins whose pages may call this server.
    pub allowed_origins: Vec<Origin>,
}

/// Name and terms of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetInfo {
    /// Short name.
    pub name: String,
    /// Citation and terms of use, to be shown beside the data.
    pub notice: Option<String>,
}
