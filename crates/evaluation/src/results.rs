use serde::{Deserialize, Serialize};
use tandem_collaboration::{Consistency, Fusion};

use crate::{History, Metrics, Part, SearchScope, Stratum};

/// One row of a result file: a measurement and the command that repeats it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRow {
    /// What ranked the items, for instance `popularity`, `co-occurrence`, `srm-sasrec`.
    pub name: String,
    /// Random seed; `None` if nothing is random.
    pub seed: Option<u64>,
    /// Hit rate at 10.
    pub hr10: f64,
    /// NDCG at 10.
    pub ndcg10: f64,
    /// Call budget: share of interactions that may call the cloud, 0 to 1; `None` without a
    /// cloud.
    pub budget: Option<f64>,
    /// Calls of the cloud, per target in `paper` (0 to 1) and per session in `session`; `None`
    /// without a cloud.
    pub calls: Option<f64>,
    /// The command that wrote the row.
    pub command: String,
    /// Which held-out targets.
    pub part: Part,
    /// Whether the items of the history are ranked.
    pub history: History,
    /// Whether the model was trained on validation targets as well (a refit after all choices).
    pub refit: bool,
    /// The part of the users; all users if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<Stratum>,
    /// The kind of the small model, if it ranks: `sasrec`, `gru4rec`, `din`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_model: Option<String>,
    /// Training of the small model, if several ways are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Whether the device learns from clicks; `None` without a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<bool>,
    /// The fusion of both models' scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// What the device searches beside the list; `None` without a device, and in rows from
    /// before devices searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchScope>,
    /// The measure of disagreement, if it decides about calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Threshold of the decision: a call is made above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// The cost of the sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<SessionCost>,
    /// Hash of the command and its input files. When an interrupted evaluation resumes, a row
    /// with this hash is not measured again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// All metrics.
    pub metrics: Metrics,
}

/// Cost of sessions, on the machine of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionCost {
    /// Scoring, fusing and sorting a list, median in milliseconds.
    pub rank_ms_p50: f64,
    /// The same, 95th percentile.
    pub rank_ms_p95: f64,
    /// A learning step, median in milliseconds; 0 without one.
    pub learn_ms_p50: f64,
    /// The same, 95th percentile.
    pub learn_ms_p95: f64,
    /// Mean bytes of JSON that a session sends.
    pub bytes_up: f64,
    /// Mean bytes of JSON that a session receives, without item rows.
    pub bytes_down: f64,
}

impl ResultRow {
    /// Whether `other` is a repetition of the same measurement: everything that was asked for
    /// is equal. What was measured or fitted may differ.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        // The parameters of a weighted fusion are fitted.
        let weighted = |row: &Self| matches!(row.fusion, Some(Fusion::Weighted { .. }));
        let rule = |row: &Self| row.fusion.filter(|_| !weighted(row));
        let budget = |row: &Self| row.budget.map(f64::to_bits);
        self.name == other.name
            && self.seed == other.seed
            && budget(self) == budget(other)
            && self.part == other.part
            && self.history == other.history
            && self.refit == other.refit
            && self.stratum == other.stratum
            && self.small_model == other.small_model
            && self.variant == other.variant
            && self.learning == other.learning
            && self.search.unwrap_or_default() == other.search.unwrap_or_default()
            && weighted(self) == weighted(other)
            && rule(self) == rule(other)
    }

    /// Adds new rows. A row that repeats an older one replaces it.
    pub fn merge(rows: &mut Vec<Self>, new: impl IntoIterator<Item = Self>) {
        for row in new {
            match rows.iter_mut().find(|old| old.repeats(&row)) {
                Some(old) => *old = row,
                None => rows.push(row),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, fusion: Fusion, ndcg10: f64) -> ResultRow {
        ResultRow {
            name: "fusion-none".into(),
            seed: Some(seed),
            hr10: 0.0,
            ndcg10,
            budget: Some(0.0),
            calls: Some(0.0),
            command: String::new(),
            part: Part::Test,
            history: History::Removed,
            refit: false,
            stratum: None,
            small_model: Some("sasrec".into()),
            variant: None,
            learning: Some(false),
            fusion: Some(fusion),
            search: None,
            consistency: None,
            threshold: None,
            cost: None,
            inputs: None,
            metrics: Metrics::of(&[]),
        }
    }

    #[test]
    fn a_repeated_measurement_replaces_the_older_one() {
        let paper = Fusion::default();
        let weighted = |alpha| {
            let language_model = tandem_collaboration::LanguageModelScore::Rank;
            Fusion::weighted(alpha, language_model, tandem_collaboration::Normalisation::Rank)
        };
        let mut rows = vec![row(1, paper, 0.1), row(1, weighted(0.1), 0.2)];
        // Another fitted weight is the same measurement; another seed is not.
        ResultRow::merge(&mut rows, [row(1, weighted(0.4), 0.3), row(2, weighted(0.4), 0.4)]);
        let figures: Vec<f64> = rows.iter().map(|row| row.ndcg10).collect();
        assert_eq!(figures, [0.1, 0.3, 0.4]);
        // A row from before devices searched is one without search.
        let search = |scope| ResultRow { search: Some(scope), ..row(1, paper, 0.6) };
        ResultRow::merge(&mut rows, [search(SearchScope::None)]);
        assert_eq!((rows.len(), rows[0].ndcg10), (3, 0.6));
        ResultRow::merge(&mut rows, [search(SearchScope::Whole)]);
        assert_eq!(rows.len(), 4);
        // A part of the users is a row of its own.
        let cold = ResultRow { stratum: Some(Stratum::ColdUser), ..row(1, paper, 0.5) };
        ResultRow::merge(&mut rows, [cold.clone(), cold]);
        assert_eq!(rows.len(), 5);
    }

    #[test]
    fn rows_survive_json_and_absent_fields_are_absent() {
        let row = row(1, Fusion::default(), 0.5);
        let json = serde_json::to_string(&row).unwrap();
        assert!(!json.contains("stratum") && json.contains(r#""budget":0.0"#), "{json}");
        assert_eq!(serde_json::from_str::<ResultRow>(&json).unwrap(), row);
    }
}
