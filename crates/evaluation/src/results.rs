use serde::{Deserialize, Serialize};

use crate::{History, Metrics, Part};

/// One measured row of a result file: what was measured, and the command that repeats it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// What was ranked by, for instance `popularity`, `co-occurrence`, `srm-sasrec`.
    pub name: String,
    /// Seed of what was drawn at random; `None` if nothing was.
    pub seed: Option<u64>,
    /// Hit rate at 10.
    pub hr10: f64,
    /// NDCG at 10.
    pub ndcg10: f64,
    /// Share of interactions that may call the cloud, 0 to 1; `None` where there is no cloud.
    pub budget: Option<f64>,
    /// Calls of the cloud that were made a user; `None` where there is no cloud.
    pub calls: Option<f64>,
    /// The command that wrote the row.
    pub command: String,
    /// Which held-out targets.
    pub part: Part,
    /// What became of the history's items in the ranking.
    pub history: History,
    /// Whether validation targets were trained on as well (a refit after all choices).
    pub refit: bool,
    /// All figures.
    pub metrics: Metrics,
}
