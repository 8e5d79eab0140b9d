//! What a language model of text knows of the items' titles, as item vectors.

mod projection;
mod vectors;

pub(crate) use projection::{Ridge, principal_components};
pub(crate) use vectors::TitleVectors;
