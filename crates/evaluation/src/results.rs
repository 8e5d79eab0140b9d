use serde::{Deserialize, Serialize};
use tandem_collaboration::{Consistency, Fusion};

use crate::{History, Metrics, Part, Stratum};

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
    /// Calls of the cloud that were made, a target in `paper` (0 to 1) and a session in
    /// `session`; `None` where there is no cloud.
    pub calls: Option<f64>,
    /// The command that wrote the row.
    pub command: String,
    /// Which held-out targets.
    pub part: Part,
    /// What became of the history's items in the ranking.
    pub history: History,
    /// Whether validation targets were trained on as well (a refit after all choices).
    pub refit: bool,
    /// Of which users; all of them if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stratum: Option<Stratum>,
    /// The small model's kind, where it was heard: `sasrec`, `gru4rec`, `din`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_model: Option<String>,
    /// How the small model was trained, where several ways are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Whether the device learnt from clicks; `None` where there is no device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<bool>,
    /// How both models' scores were joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fusion: Option<Fusion>,
    /// How the disagreement of the two models was measured, where it decided about calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What speaks for a call above this made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// What the session cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<SessionCost>,
    /// Hash of the command and the files that it read, where an evaluation that was
    /// interrupted goes on: a row that has it is not measured again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// All figures.
    pub metrics: Metrics,
}

/// What sessions cost the device and the line, on the machine that measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionCost {
    /// Scoring, fusing and ordering a list, milliseconds, half of the times.
    pub rank_ms_p50: f64,
    /// The same, 95 of 100 times.
    pub rank_ms_p95: f64,
    /// A learning step, milliseconds, half of the times; 0 if there was none.
    pub learn_ms_p50: f64,
    /// The same, 95 of 100 times.
    pub learn_ms_p95: f64,
    /// Bytes of JSON that a session sent, on average.
    pub bytes_up: f64,
    /// Bytes of JSON that a session was sent, on average, without item rows.
    pub bytes_down: f64,
}

impl ResultRow {
    /// Whether `other` is the same measurement, made again: names, seed, budget and whatever
    /// else was asked for agree. What was found or fitted may differ.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        // The parameters of a weighted fusion are a finding.
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
            && weighted(self) == weighted(other)
            && rule(self) == rule(other)
    }

    /// Adds rows to those measured before; each takes the place of the one it repeats.
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
            consistency: None,
            threshold: None,
            cost: None,
            inputs: None,
            metrics: Metrics::of(&[]),
        }
    }

    #[test]
    fn a_measurement_made_again_replaces_the_older_one() {
        let paper = Fusion::default();
        let weighted = |alpha| {
            let language_model = tandem_collaboration::LanguageModelScore::Rank;
            Fusion::weighted(alpha, language_model, tandem_collaboration::Normalisation::Rank)
        };
        let mut rows = vec![row(1, paper, 0.1), row(1, weighted(0.1), 0.2)];
        // The fitted weight is a finding and no other measurement; another seed is one.
        ResultRow::merge(&mut rows, [row(1, weighted(0.4), 0.3), row(2, weighted(0.4), 0.4)]);
        let figures: Vec<f64> = rows.iter().map(|row| row.ndcg10).collect();
        assert_eq!(figures, [0.1, 0.3, 0.4]);
        // The same figure for a part of the users is a row of its own.
        let cold = ResultRow { stratum: Some(Stratum::ColdUser), ..row(1, paper, 0.5) };
        ResultRow::merge(&mut rows, [cold.clone(), cold]);
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn rows_survive_json_and_absent_fields_are_absent() {
        let row = row(1, Fusion::default(), 0.5);
        let json = serde_json::to_string(&row).unwrap();
        assert!(!json.contains("stratum") && json.contains(r#""budget":0.0"#), "{json}");
        assert_eq!(serde_json::from_str::<ResultRow>(&json).unwrap(), row);
    }
}
