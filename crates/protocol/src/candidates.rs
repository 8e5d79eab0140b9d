use serde::{Deserialize, Serialize};

use crate::ItemId;

/// Body of `POST /v1/candidates`: what the language model may know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidatesRequest {
    /// The visitor's items, oldest first. Unknown ids and repeats are ignored and
    /// counted in [`Ignored`]; empty is allowed.
    pub history: Vec<ItemId>,
    /// Items that must not be candidates, beside the history itself (out of stock,
    /// disliked).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ItemId>,
    /// Name of the language model that is to make the list, one of those that
    /// `GET /v1/models` names; the server's first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many candidates are wanted; the server's default (50) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Whether the answer carries the item rows of candidates and history: wanted by a
    /// device that does not hold the whole item table.
    #[serde(default)]
    pub rows: bool,
}

/// Answer of `POST /v1/candidates`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidatesResponse {
    /// Name of the language model that made the list.
    pub model: String,
    /// Hash of the catalogue the ids are of ([`CatalogueInfo`](crate::CatalogueInfo)).
    pub catalogue_hash: String,
    /// What the order is based on.
    pub ranking: Ranking,
    /// Best first; distinct, none in the history or excluded. Fewer than asked for only
    /// when the catalogue has no more.
    pub candidates: Vec<Candidate>,
    /// Rows of the history's known items, if rows were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history_rows: Vec<ItemRow>,
    /// What of the request was not used.
    pub ignored: Ignored,
    /// Where the time went.
    pub timings: Timings,
}

/// What a list of candidates is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// The language model's log-probability given the history.
    LanguageModel,
    /// No usable history: the catalogue's popularity.
    Popularity,
}

/// One candidate of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The item.
    pub item: ItemId,
    /// Natural logarithm of its probability among the catalogue's items (nats).
    pub logprob: f32,
    /// Its row of the item table, if rows were asked for: see [`ItemRow::row`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
}

/// One item's row of the small model's item table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRow {
    /// The item.
    pub item: ItemId,
    /// Base64 (standard alphabet, padded) of a little-endian `f32` scale followed by one
    /// `i8` a dimension; the value is `scale * i8`. Opaque to the server.
    pub row: String,
}

/// What a server left out of a request, in items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// Ids that are not in the catalogue (history and exclusions).
    pub unknown: usize,
    /// Earlier occurrences of an item that comes again later in the history.
    pub duplicate: usize,
    /// Oldest items beyond what the model reads.
    pub truncated: usize,
}

/// Where a request's time went, in milliseconds, and how much was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Waiting for the model to be free.
    pub queue_ms: f64,
    /// Reading the prompt.
    pub prompt_ms: f64,
    /// Decoding candidates.
    pub decode_ms: f64,
    /// From the arrival of the request to its answer.
    pub total_ms: f64,
    /// Tokens of the prompt that were evaluated (a cached prefix is not).
    pub prompt_tokens: usize,
    /// Tokens evaluated while decoding, over all beams.
    pub decoded_tokens: usize,
}

/// Body of `POST /v1/rows`: rows for items that the device met outside a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsRequest {
    /// The items.
    pub items: Vec<ItemId>,
}

/// Answer of `POST /v1/rows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsResponse {
    /// Hash of the rows' file, as in the manifest.
    pub rows_hash: String,
    /// Rows of the known items, in the order asked for.
    pub rows: Vec<ItemRow>,
    /// How many ids the catalogue does not have.
    pub unknown: usize,
}
