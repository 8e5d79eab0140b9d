use serde::{Deserialize, Serialize};

/// Response of `GET /v1/models`: the language models of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelsResponse {
    /// The models; the first one is used by requests that name none.
    pub models: Vec<HostedModel>,
}

/// A language model that a server hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostedModel {
    /// Name for [`CandidatesRequest::model`](crate::CandidatesRequest::model).
    pub name: String,
    /// Whether the model is loaded. The other fields are known only then.
    pub ready: bool,
    /// How the model's vocabulary represents items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// SHA-256 of the GGUF file, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How a language model's vocabulary represents items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EngineKind {
    /// A text model: an item is represented by its title.
    Titles,
    /// A model of this catalogue: an item is one token.
    ItemTokens,
}
