use serde::{Deserialize, Serialize};

use crate::{ItemFilter, ItemId, Problem};

/// Body of `POST /v1/candidates`: a request for a candidate list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CandidatesRequest {
    /// The visitor's items, oldest first. Unknown ids and repeated items are skipped and
    /// counted in [`Ignored`]. May be empty; at most 10,000.
    #[cfg_attr(feature = "openapi", schema(max_items = 10_000))]
    pub history: Vec<ItemId>,
    /// Items that must not be candidates, in addition to the history (for example sold out or
    /// disliked); at most 10,000.
    #[cfg_attr(feature = "openapi", schema(max_items = 10_000))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ItemId>,
    /// Conditions that candidates must meet. The list is the best `k` of the items that meet them.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<ItemFilter>,
    /// Name of the language model to use, one of `GET /v1/models`. Default: the server's
    /// first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Number of candidates, 1 to 200. Default: set by the server (50).
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Whether the response contains the item rows of candidates and history. A device that
    /// does not hold the whole item table asks for them.
    #[serde(default)]
    pub rows: bool,
    /// The release that the rows are to be of: the one whose weights the device holds. A server
    /// that does not have it refuses the request. Default: the current release. The header
    /// `x-artifacts` of the response names the release. Without `rows`, candidates that the
    /// catalogue of the release lacks have rows of it, if the server has the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether each candidate of the response has an [`explanation`](Candidate::explanation).
    /// Lists of title models and lists by popularity have none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explain: bool,
}

/// Response of `POST /v1/candidates`: a candidate list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CandidatesResponse {
    /// Name of the language model that made the list.
    pub model: String,
    /// Hash of the catalogue that the ids belong to
    /// ([`CatalogueInfo::hash`](crate::CatalogueInfo::hash)).
    pub catalogue_hash: String,
    /// What the list is ordered by.
    pub ranking: Ranking,
    /// Distinct items, best first, none of them in the history or excluded. Fewer than
    /// requested only if no more items remain.
    pub candidates: Vec<Candidate>,
    /// Number of available items that meet the filter, those of the history, the excluded ones and
    /// new ones that no model can rank yet included; only if the request has a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// Rows of the known items of the history, if rows were requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history_rows: Vec<ItemRow>,
    /// Items of the request that were not used.
    pub ignored: Ignored,
    /// How long the parts of the request took.
    pub timings: Timings,
}

/// What a candidate list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Ranking {
    /// The language model's log-probability given the history.
    LanguageModel,
    /// The item's popularity in the catalogue, because the history has no usable item.
    Popularity,
}

/// An item of a candidate list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candidate {
    /// The item.
    pub item: ItemId,
    /// Log-probability (nats) of the item among the items that remain, which are those that the
    /// server can rank, meet the filter and are neither in the history nor excluded.
    pub logprob: f32,
    /// The item's row ([`ItemRow::row`]), if rows were requested or the catalogue of the release
    /// lacks the item. Absent if the server has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// What the item's score is made of, if it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ScoreExplanation>,
}

/// What the score of a candidate is made of: one part for each signal, and their sum.
///
/// A part is the signal's weight times how far the item is above the mean of the catalogue, in
/// standard deviations of this visitor, times the temperature. Above 0 it raises the item. A
/// signal that the server does not have, or that says nothing about this history, is absent. For
/// a server without ranking signals, the one part is the language model's logit above the mean.
///
/// The log-probability of a candidate is its score minus a number that is the same for all items
/// of the list.
///
/// For callers with a public key `counts` is part of `language_model`: alone it would tell whether
/// anyone chose two items one after the other, also within the last minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScoreExplanation {
    /// The score: the sum of the parts.
    pub score: f32,
    /// The language model, which has read the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model: Option<f32>,
    /// Co-occurrence counts: what visitors choose near the newest items of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<f32>,
    /// Similarity of the item's text to the texts of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<f32>,
    /// The small model, as it ranks on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_model: Option<f32>,
}

impl ScoreExplanation {
    /// The same explanation without the counts by themselves: they are added to the part of the
    /// language model.
    #[must_use]
    pub fn with_counts_in_language_model(mut self) -> Self {
        if let Some(counts) = self.counts.take() {
            self.language_model = Some(self.language_model.unwrap_or(0.0) + counts);
        }
        self
    }
}

/// An item's row of the small model's item table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemRow {
    /// The item.
    pub item: ItemId,
    /// Base64 (standard alphabet, padded) of a little-endian `f32` scale and one `i8` per
    /// dimension. The row's values are `scale * i8`.
    pub row: String,
}

/// Number of items of a request that the server did not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ignored {
    /// Ids that are not in the catalogue, in history and exclusions.
    pub unknown: usize,
    /// Occurrences of an item that is repeated later in the history.
    pub duplicate: usize,
    /// Oldest items beyond the length that the model reads.
    pub truncated: usize,
}

/// Durations of a request's parts in milliseconds, and the number of decoded tokens.
///
/// `prompt_ms`, `decode_ms` and the tokens are 0 for callers with a public key: they would tell
/// whether a history is in the prefix cache, that is, whether another visitor has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "ServerTimings"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timings {
    /// Waiting until the model was free.
    pub queue_ms: f64,
    /// Evaluating the prompt.
    pub prompt_ms: f64,
    /// Decoding candidates.
    pub decode_ms: f64,
    /// From the arrival of the request to its response.
    pub total_ms: f64,
    /// Tokens of the prompt that were evaluated; those of a cached prefix are not.
    pub prompt_tokens: usize,
    /// Tokens that were evaluated for decoding, over all beams.
    pub decoded_tokens: usize,
}

/// Body of `POST /v1/rows`: a request for the rows of items that are on no list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowsRequest {
    /// The items, at most 1,000.
    #[cfg_attr(feature = "openapi", schema(max_items = 1_000))]
    pub items: Vec<ItemId>,
    /// Items of the history whose co-occurrence counts are wanted, at most
    /// [`Counts::NEWEST`](crate::Counts::NEWEST). For devices that do not have the counts of the
    /// whole catalogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 10))]
    pub counts: Vec<ItemId>,
    /// As [`CandidatesRequest::release`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// Response of `POST /v1/rows`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RowsResponse {
    /// SHA-256 of the item table file, as in [`Manifest::rows`](crate::Manifest::rows).
    pub rows_hash: String,
    /// Rows of the known items, in the order of the request.
    pub rows: Vec<ItemRow>,
    /// Counts of the known items of [`RowsRequest::counts`], in their order. Empty if the release
    /// has no counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<ItemCounts>,
    /// Number of requested ids that are not in the catalogue.
    pub unknown: usize,
}

/// The count row of an item: the items that were most often chosen near it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemCounts {
    /// The item.
    pub item: ItemId,
    /// Its neighbours.
    pub near: Vec<NearItem>,
}

/// An item that was chosen near another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NearItem {
    /// The item.
    pub item: ItemId,
    /// How often it was chosen near the other item, relative to its popularity; at least 0.
    pub weight: f32,
    /// Its row, as [`ItemRow::row`]. Absent if an earlier part of the response has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
}

/// Body of `POST /v1/candidates/batch`: several requests for candidate lists, for programs of the
/// shop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRequest {
    /// The requests, at most 64.
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    pub requests: Vec<CandidatesRequest>,
}

/// Response of `POST /v1/candidates/batch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    /// One answer per request, in their order.
    pub answers: Vec<BatchAnswer>,
}

/// The answer to one request of a batch: a list, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAnswer {
    /// The candidate list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<CandidatesResponse>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_explanations_is_one_that_older_servers_read() {
        let json = serde_json::to_string(&CandidatesRequest::default()).unwrap();
        assert_eq!(json, r#"{"history":[],"rows":false}"#);
        let asked: CandidatesRequest =
            serde_json::from_str(r#"{"history":[],"explain":true}"#).unwrap();
        assert!(asked.explain);
    }

    #[test]
    fn counts_of_a_public_explanation_are_part_of_the_language_model() {
        let explanation = ScoreExplanation {
            score: 1.5,
            language_model: Some(2.0),
            counts: Some(-0.5),
            ..ScoreExplanation::default()
        };
        let public = explanation.with_counts_in_language_model();
        assert_eq!((public.language_model, public.counts), (Some(1.5), None));
        let json = serde_json::to_string(&public).unwrap();
        assert_eq!(json, r#"{"score":1.5,"language_model":1.5}"#);
    }
}
