use serde::{Deserialize, Serialize};

use crate::ItemId;

/// Largest number of items in [`Manifest::popular`].
pub const MAX_POPULAR: usize = 200;

/// `manifest.json`: the artefacts that a device loads and the settings it uses.
///
/// `fusion`, `policy` and `learning` have the configuration types of `tandem-collaboration` and
/// `tandem-model`. They are type parameters here because this crate depends on neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Manifest<Fusion, Policy, Learning> {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the writer.
    pub version: u32,
    /// The catalogue that the model was trained on.
    pub catalogue: CatalogueInfo,
    /// Shape of the small model.
    pub model: ModelConfig,
    /// The text part of the item rows; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextPart>,
    /// Co-occurrence counts beside the small model's scores; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The language model that fusion and policy were calibrated with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model: Option<LanguageModelInfo>,
    /// Weights of the small model without its item table, in `safetensors` format.
    pub body: Artifact,
    /// Item table of the small model: `u32` little-endian number of items and of dimensions,
    /// then one row per item in catalogue order. A row is [`ItemRow::row`](crate::ItemRow::row)
    /// without the Base64 encoding.
    pub rows: Artifact,
    /// The catalogue for display: a JSON array of `{item, title, year, genres}` in catalogue
    /// order.
    pub items: Artifact,
    /// How the two models' scores are joined.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
    /// How the device learns.
    pub learning: Learning,
    /// Fusion and policy for lists of particular language models. Log-probabilities of another
    /// model need another weight.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub language_models: Vec<LanguageModelCalibration<Fusion, Policy>>,
    /// How the device searches the catalogue itself. Absent: it only re-ranks candidate lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchConfig>,
    /// Whether items of the history can be recommended again, for shops where things are bought
    /// again. A page can decide otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// Items to show before anything is known about the visitor, most popular first; at most
    /// [`MAX_POPULAR`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub popular: Vec<ItemId>,
}

/// Settings of the search on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct SearchConfig {
    /// Number of items that the search adds to the candidate list.
    #[serde(default = "default_search_k")]
    pub k: usize,
    /// Index of the cells that the item table is divided into. The cells are files named by
    /// their hash beside the manifest (`cells/<sha256>`), and the device loads those near the
    /// visitor's state. Absent: the device loads and searches the whole item table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<Artifact>,
}

impl Default for SearchConfig {
    /// The best 100 items of the whole table.
    fn default() -> Self {
        Self { k: default_search_k(), cells: None }
    }
}

fn default_search_k() -> usize {
    100
}

/// Fusion and policy for the lists of one language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LanguageModelCalibration<Fusion, Policy> {
    /// [`CandidatesResponse::model`](crate::CandidatesResponse::model) of its lists.
    pub name: String,
    /// SHA-256 of the GGUF file that was used for the calibration, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How the two models' scores are joined.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
}

/// A file beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Artifact {
    /// File name relative to the manifest.
    pub path: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Hash and size of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CatalogueInfo {
    /// SHA-256 over the item ids in catalogue order, lower-case hexadecimal.
    pub hash: String,
    /// Number of items.
    pub items: usize,
}

/// The language model that makes the candidate lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LanguageModelInfo {
    /// Name for display.
    pub name: String,
    /// SHA-256 of the GGUF file, lower-case hexadecimal.
    pub sha256: String,
}

/// Architecture of a small recommendation model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum ModelKind {
    /// Self-attentive sequential recommendation (Kang & `McAuley` 2018).
    Sasrec,
    /// Gated recurrent units (Hidasi et al. 2016).
    Gru4rec,
    /// Deep interest network (Zhou et al. 2018).
    Din,
}

/// Shape of a small model. An architecture ignores the fields it does not use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct ModelConfig {
    /// Architecture.
    pub kind: ModelKind,
    /// Width of an item row and of the hidden state.
    pub dims: usize,
    /// Number of layers.
    pub blocks: usize,
    /// Number of attention heads; divides `dims`.
    pub heads: usize,
    /// Largest number of items of a history that are read; older ones are left out.
    pub max_length: usize,
}

/// The text part of item rows: a row is the model's own `dims` numbers, then a text vector.
///
/// The score of an item gets `weight · |h| · (m·t) / |m|`, where `h` is the model's hidden state,
/// `t` the item's text part and `m` the sum of the text parts of the history, each weighted by
/// [`DECAY`](Self::DECAY) to the power of its age. It is still one dot product of two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct TextPart {
    /// Width of the text part.
    pub dims: usize,
    /// Weight of the text part relative to the model's score, at least 0.
    pub weight: f32,
}

impl TextPart {
    /// Weight of an item of the history relative to the next newer one.
    pub const DECAY: f32 = 0.7;
}

/// Co-occurrence counts on the device, added to the scores of the small model.
///
/// The score of an item `i` gets `weight · |h| · c(i) / |c|`, where `h` is the model's hidden
/// state and `c` the sum of the count rows of the newest [`NEWEST`](Self::NEWEST) items of the
/// history, each weighted by [`DECAY`](Self::DECAY) to the power of its age. A count row holds
/// the items that were most often chosen near one item, relative to their popularity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Counts {
    /// The count rows of all items. A device with the whole item table loads the file after the
    /// first click; one that searches in cells asks the server for the rows of its history
    /// ([`RowsRequest::counts`](crate::RowsRequest::counts)).
    pub rows: Artifact,
    /// Weight of the counts relative to the model's score, at least 0.
    pub weight: f32,
}

impl Counts {
    /// Number of newest items of a history whose count rows are read.
    pub const NEWEST: usize = 10;
    /// Weight of an item of the history relative to the next newer one.
    pub const DECAY: f32 = 0.8;
}

#[cfg(test)]
mod tests {
    use super::*;

    type Any = Manifest<u8, u8, u8>;

    const OLD: &str = r#"{
        "version": 1,
        "catalogue": {"hash": "c", "items": 2},
        "model": {"kind": "sasrec", "dims": 4, "blocks": 1, "heads": 1, "max_length": 5},
        "body": {"path": "b", "sha256": "0", "bytes": 1},
        "rows": {"path": "r", "sha256": "0", "bytes": 1},
        "items": {"path": "i", "sha256": "0", "bytes": 1},
        "fusion": 1, "policy": 2, "learning": 3
    }"#;

    #[test]
    fn a_manifest_without_search_is_read_and_has_none() {
        let manifest: Any = serde_json::from_str(OLD).unwrap();
        assert_eq!((&manifest.search, manifest.popular.len()), (&None, 0));
        assert_eq!(manifest.text, None);
        assert!(!manifest.repeats);
        let json = serde_json::to_string(&manifest).unwrap();
        assert!(!json.contains("search") && !json.contains("popular"), "{json}");
        assert!(!json.contains("repeats"), "{json}");
    }

    #[test]
    fn search_settings_are_written_and_read() {
        let mut manifest: Any = serde_json::from_str(OLD).unwrap();
        let cells = Artifact { path: "cells.bin".into(), sha256: "1".into(), bytes: 7 };
        manifest.search = Some(SearchConfig { k: 20, cells: Some(cells) });
        manifest.repeats = true;
        manifest.text = Some(TextPart { dims: 3, weight: 0.25 });
        manifest.popular = vec![ItemId::new("a"), ItemId::new("b")];
        let json = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Any>(&json).unwrap(), manifest);
        let default: SearchConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(default, SearchConfig { k: 100, cells: None });
    }
}
