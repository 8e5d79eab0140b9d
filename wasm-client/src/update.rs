//! What a call of the client resolves to, in the shape JavaScript reads.

use serde::Serialize;
use tandem_collaboration::{Action, Decision};
use tandem_protocol::{Event, ItemId, Ranking};
use tandem_session::{Contribution, Explanation, RankedItem, Similar};

use crate::connection::ConnectionReport;

/// The state of the recommendations after something happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Update {
    pub(crate) items: Vec<ItemReport>,
    pub(crate) decision: DecisionReport,
    pub(crate) ranking: Option<Ranking>,
    pub(crate) model: Option<String>,
    pub(crate) connection: ConnectionReport,
    pub(crate) stats: Stats,
    pub(crate) timings: Timings,
    pub(crate) history: Vec<ItemId>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemReport {
    item: ItemId,
    score: f32,
    listed: bool,
    llm_rank: Option<usize>,
    srm_rank: usize,
    logprob: Option<f32>,
    srm_score: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionReport {
    pub(crate) action: Action,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) disagreement: Option<f32>,
    pub(crate) threshold: f32,
    /// When time alone may turn it, in milliseconds.
    pub(crate) wait_ms: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    pub(crate) clicks: u64,
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) list_age_ms: Option<f64>,
    pub(crate) clicks_since_list: u64,
    pub(crate) learn_steps: u64,
    pub(crate) non_finite: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(crate) struct Timings {
    pub(crate) rerank_ms: f64,
    pub(crate) request_ms: Option<f64>,
    pub(crate) server_ms: Option<f64>,
}

/// One learning step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LearnReport {
    pub(crate) step: u64,
    pub(crate) loss_before: f32,
    pub(crate) loss_after: f32,
    pub(crate) ms: f64,
}

/// What `undo` came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Undone {
    /// The event that was taken back, if there was one.
    pub(crate) event: Option<Event>,
    pub(crate) update: Update,
}

/// Why an item stands where it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explained {
    item: ItemReport,
    rank: usize,
    of: usize,
    pulls: Vec<PullReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PullReport {
    item: ItemId,
    pull: f32,
}

/// An item like another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SimilarItem {
    item: ItemId,
    similarity: f32,
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        let Explanation { item, rank, of, contributions } = explanation;
        let pulls = contributions
            .into_iter()
            .map(|Contribution { item, logit }| PullReport { item, pull: logit });
        Self { item: item.into(), rank, of, pulls: pulls.collect() }
    }
}

impl From<Similar> for SimilarItem {
    fn from(Similar { item, similarity }: Similar) -> Self {
        Self { item, similarity }
    }
}

impl From<RankedItem> for ItemReport {
    fn from(item: RankedItem) -> Self {
        let RankedItem { item, score, listed, llm_rank, srm_rank, logprob, srm_score } = item;
        Self { item, score, listed, llm_rank, srm_rank, logprob, srm_score }
    }
}

impl From<Decision> for DecisionReport {
    fn from(decision: Decision) -> Self {
        Self {
            action: decision.action,
            code: decision.reason.code(),
            reason: decision.reason.to_string(),
            disagreement: decision.disagreement,
            threshold: decision.threshold,
            wait_ms: decision.reason.wait_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_collaboration::Reason;

    use super::*;

    #[test]
    fn shapes_are_spelt_for_javascript() {
        let item = ItemReport::from(RankedItem {
            item: ItemId::from("50"),
            score: 0.5,
            listed: true,
            llm_rank: Some(2),
            srm_rank: 0,
            logprob: Some(-1.5),
            srm_score: None,
        });
        assert_eq!(
            serde_json::to_string(&item).unwrap(),
            r#"{"item":"50","score":0.5,"listed":true,"llmRank":2,"srmRank":0,"logprob":-1.5,"srmScore":null}"#
        );
        let decision = DecisionReport::from(Decision {
            action: Action::Request,
            reason: Reason::NoCandidates,
            disagreement: None,
            threshold: 0.5,
        });
        assert_eq!(
            serde_json::to_string(&decision).unwrap(),
            r#"{"action":"request","code":"no_candidates","reason":"no candidates yet","disagreement":null,"threshold":0.5,"waitMs":null}"#
        );
        let report = LearnReport { step: 1, loss_before: 2.5, loss_after: 2.0, ms: 3.5 };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"step":1,"lossBefore":2.5,"lossAfter":2.0,"ms":3.5}"#
        );
    }
}
