//! What the client's methods resolve with.

use serde::Serialize;
use tandem_collaboration::Decision;
use tandem_protocol::{Event, Ranking};
use tandem_session::RankedItem;

use crate::{error::ClientError, server_link::Connection};

/// The state of the recommendations after an event.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "ClientUpdate"))]
pub(crate) struct Update {
    /// Fused order, best first.
    pub(crate) items: Vec<RankedItem>,
    /// Whether the device searched the catalogue itself.
    pub(crate) searched: bool,
    /// Whether a longer ranking would have no further items.
    pub(crate) exhausted: bool,
    pub(crate) decision: Decision,
    /// What the candidate list in use is ordered by; `null` without a list.
    pub(crate) ranking: Option<Ranking>,
    /// Name of the language model that made the list.
    pub(crate) model: Option<String>,
    pub(crate) connection: Connection,
    pub(crate) stats: Stats,
    pub(crate) timings: Timings,
}

/// Counters of the session; bytes count from when the recommender was opened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// Clicks, purchases and dislikes.
    pub(crate) clicks: u64,
    /// Requests for lists that were answered.
    pub(crate) calls: u64,
    /// Requests for lists that failed.
    pub(crate) failed_calls: u64,
    /// Bytes of request bodies.
    pub(crate) bytes_up: u64,
    /// Bytes of responses and artefacts, decompressed.
    pub(crate) bytes_down: u64,
    /// Age of the candidate list in milliseconds; `null` without a list.
    pub(crate) list_age_ms: Option<f64>,
    /// Clicks since the list was requested.
    pub(crate) clicks_since_list: u64,
    /// Learning steps on this device.
    pub(crate) learn_steps: u64,
    /// Scores and learning steps that were not finite numbers and were left out.
    pub(crate) non_finite: u64,
}

/// Durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(crate) struct Timings {
    /// Scoring and fusing on the device.
    pub(crate) rerank_ms: f64,
    /// The last request for a list, as the device sees it; `null` before the first.
    pub(crate) request_ms: Option<f64>,
    /// The part of it that the server reports as its own.
    pub(crate) server_ms: Option<f64>,
}

/// One learning step on the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "camelCase")]
pub(crate) struct LearnReport {
    /// Number of the step in this session, from 1.
    pub(crate) step: u64,
    /// Cross-entropy of the click before the step, in nats.
    pub(crate) loss_before: f32,
    /// The same after the step.
    pub(crate) loss_after: f32,
    /// Duration in milliseconds.
    pub(crate) ms: f64,
}

/// A longer ranking, for a page whose filter leaves too few items.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub(crate) struct Deeper {
    /// Fused order, best first.
    pub(crate) items: Vec<RankedItem>,
    /// Whether a longer ranking would have no further items.
    pub(crate) exhausted: bool,
}

/// The result of `fetchMissing` and `fetchFurther`.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub(crate) struct Fetched {
    /// The ranking with the new rows; `null` if none arrived, and from `fetchFurther`.
    pub(crate) update: Option<Update>,
    /// Whether rows of clicked items arrived, so that these clicks can be learnt from.
    pub(crate) rows: bool,
    /// Files and rows that cannot be used; they are not requested again.
    pub(crate) errors: Vec<ClientError>,
    /// Whether there may be more to fetch now: from `fetchMissing`, if rows arrived without which
    /// no cells could be chosen, or if rows of available items are missing; from `fetchFurther`,
    /// if cells arrived.
    pub(crate) more: bool,
    /// Whether the server could not be reached, and could before.
    pub(crate) failed: bool,
}

/// The result of `undo`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub(crate) struct Undone {
    /// The event that was undone; `null` if there was none.
    pub(crate) event: Option<Event>,
    pub(crate) update: Update,
}

#[cfg(test)]
mod tests {
    use tandem_collaboration::{Action, Reason};
    use tandem_protocol::ItemId;

    use super::*;

    #[test]
    fn results_are_camel_case_in_javascript() {
        let item = RankedItem {
            item: ItemId::from("50"),
            score: 0.5,
            listed: true,
            llm_rank: Some(2),
            srm_rank: 0,
            logprob: Some(-1.5),
            srm_score: None,
        };
        assert_eq!(
            serde_json::to_string(&item).unwrap(),
            r#"{"item":"50","score":0.5,"listed":true,"llmRank":2,"srmRank":0,"logprob":-1.5,"srmScore":null}"#
        );
        let decision = Decision {
            action: Action::Request,
            reason: Reason::NoCandidates,
            disagreement: None,
            threshold: 0.5,
        };
        assert_eq!(
            serde_json::to_string(&decision).unwrap(),
            r#"{"action":"request","code":"no_candidates","reason":"no candidates yet","waitMs":null,"disagreement":null,"threshold":0.5}"#
        );
        let report = LearnReport { step: 1, loss_before: 2.5, loss_after: 2.0, ms: 3.5 };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"step":1,"lossBefore":2.5,"lossAfter":2.0,"ms":3.5}"#
        );
    }
}
