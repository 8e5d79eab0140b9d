use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/models`: the language models of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsResponse {
    /// The first is asked when a request names none.
    pub models: Vec<HostedModel>,
}

/// A language model that a server hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedModel {
    /// What [`CandidatesRequest::model`](crate::CandidatesRequest::model) calls it.
    pub name: String,
    /// Whether it is loaded; what follows is known only then.
    pub ready: bool,
    /// How its vocabulary stands for items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// SHA-256 of the GGUF file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// How a language model's vocabulary stands for items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// A model of text: items go by their titles.
    Titles,
    /// A model of this catalogue: one token an item.
    ItemTokens,
}
