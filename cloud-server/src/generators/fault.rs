use serde::Deserialize;
use tandem_protocol::HostedModel;

/// Why a server cannot be used as a generator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorFault {
    /// It may answer later.
    #[error("it does not answer: {0}")]
    NoAnswer(String),
    /// It starts or stops, or its database is gone.
    #[error("it is not ready (status {0})")]
    NotReady(u16),
    /// It has another release.
    #[error(
        "it has another catalogue; give all servers the same release. While a release changes, this ends by itself"
    )]
    Catalogue,
    /// It needs a key and was given none that it knows.
    #[error("it needs a key; give an admin key of it with --generator-key")]
    Key,
    /// It was given a key of web pages.
    #[error(
        "the key of --generator-key is a public key there, with the rates of a web page; give an admin key"
    )]
    PublicKey,
    /// It asks generators itself, or is this server.
    #[error("it makes no lists itself; give the address of a server with language models")]
    NoModels,
}

impl GeneratorFault {
    /// Whether it stays so until somebody changes an option.
    pub(crate) fn is_of_options(&self) -> bool {
        matches!(self, Self::Key | Self::PublicKey | Self::NoModels)
    }
}

/// What a generator says of itself, and of the server that asks (`/readyz`). Earlier versions say
/// their models only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) models: Vec<HostedModel>,
    pub(super) catalogue_hash: Option<String>,
    makes_lists: Option<bool>,
    needs_key: Option<bool>,
    access: Option<String>,
}

impl Facts {
    /// What is wrong with the generator for a server of this catalogue.
    pub(super) fn check(&self, catalogue_hash: &str) -> Result<(), GeneratorFault> {
        if self.makes_lists == Some(false) {
            return Err(GeneratorFault::NoModels);
        }
        match (self.access.as_deref(), self.needs_key) {
            (Some("none"), _) => return Err(GeneratorFault::Key),
            (Some("public"), Some(true)) => return Err(GeneratorFault::PublicKey),
            _ => {}
        }
        if self.has_catalogue(catalogue_hash) { Ok(()) } else { Err(GeneratorFault::Catalogue) }
    }

    /// Whether it has this catalogue, or does not say.
    pub(super) fn has_catalogue(&self, hash: &str) -> bool {
        self.catalogue_hash.as_deref().is_none_or(|found| found == hash)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_a_generator_says_decides_whether_it_is_used() {
        let check = |more: Value| {
            let mut said = json!({ "status": "ready", "models": [] });
            said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Facts>(said).unwrap().check("abc")
        };
        let said = |access: &str, needs_key: bool| {
            json!({
                "catalogue_hash": "abc", "makes_lists": true, "needs_key": needs_key,
                "access": access
            })
        };
        // An earlier version.
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(said("admin", true)), Ok(()));
        assert_eq!(check(said("public", false)), Ok(()));
        assert_eq!(check(said("none", true)), Err(GeneratorFault::Key));
        assert_eq!(check(said("public", true)), Err(GeneratorFault::PublicKey));
        assert_eq!(check(json!({ "catalogue_hash": "abd" })), Err(GeneratorFault::Catalogue));
        assert_eq!(check(json!({ "makes_lists": false })), Err(GeneratorFault::NoModels));
        assert!(GeneratorFault::Key.is_of_options() && !GeneratorFault::Catalogue.is_of_options());
    }
}
