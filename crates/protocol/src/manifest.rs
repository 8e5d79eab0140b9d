use serde::{Deserialize, Serialize};

/// `manifest.json`: what a device loads, and how it is to be used.
///
/// `fusion`, `policy` and `learning` are kept as the configuration types of
/// `tandem-collaboration` and `tandem-model` write them; this crate does not know those,
/// hence the type parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest<Fusion, Policy, Learning> {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the writer.
    pub version: u32,
    /// The catalogue the model was trained on.
    pub catalogue: CatalogueInfo,
    /// The small model's shape.
    pub model: ModelConfig,
    /// The language model that fusion and policy were calibrated with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model: Option<LanguageModelInfo>,
    /// The small model's body: `safetensors`.
    pub body: Artifact,
    /// The small model's item table: `u32` little-endian count and dimensions, then for
    /// each item of the catalogue, in its order, a row as in
    /// [`ItemRow::row`](crate::ItemRow::row) without the Base64.
    pub rows: Artifact,
    /// The catalogue for people: a JSON array of `{item, title, year, genres}` in order.
    pub items: Artifact,
    /// How the two models' scores are joined.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
    /// How the device learns.
    pub learning: Learning,
    /// What `fusion` and `policy` become when a list was made by one of these language
    /// models: log-probabilities of another model deserve another weight.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub language_models: Vec<LanguageModelCalibration<Fusion, Policy>>,
}

/// Fusion and policy for the lists of one language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageModelCalibration<Fusion, Policy> {
    /// [`CandidatesResponse::model`](crate::CandidatesResponse::model) of its lists.
    pub name: String,
    /// SHA-256 of the GGUF file it was calibrated with, if the writer knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How the two models' scores are joined.
    pub fusion: Fusion,
    /// When the cloud is called.
    pub policy: Policy,
}

/// A file beside the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File name, relative to the manifest.
    pub path: String,
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// Which catalogue, and how large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueInfo {
    /// SHA-256 over the items' ids in order, lower-case hexadecimal.
    pub hash: String,
    /// Number of items.
    pub items: usize,
}

/// The language model behind the candidate lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanguageModelInfo {
    /// Its name for people.
    pub name: String,
    /// SHA-256 of the GGUF file.
    pub sha256: String,
}

/// The kinds of small recommendation model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Self-attentive sequential recommendation (Kang & `McAuley` 2018).
    Sasrec,
    /// Gated recurrent units (Hidasi et al. 2016).
    Gru4rec,
    /// Deep interest network (Zhou et al. 2018).
    Din,
}

/// Shape of a small model; what of it a kind does not use it ignores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Which model.
    pub kind: ModelKind,
    /// Width of an item row and of the hidden state.
    pub dims: usize,
    /// Number of layers.
    pub blocks: usize,
    /// Attention heads; divides `dims`.
    pub heads: usize,
    /// How many of the newest items of a history are read.
    pub max_length: usize,
}
