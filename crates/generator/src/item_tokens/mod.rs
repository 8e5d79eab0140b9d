//! Item tokens: a llama-architecture decoder whose vocabulary is the catalogue.
//!
//! [`ItemTokenModel`] holds the weights of such a decoder and writes them as a GGUF file that
//! llama.cpp runs without changes. Token `t` is the item at
//! [`ItemIndex`](tandem_dataset::ItemIndex) `t`; special tokens follow the items. One forward
//! pass over a history scores the whole catalogue, so the top `k` is exact ([`selection`]).
//!
//! The metadata of the file names the engine and the catalogue:
//!
//! | key | value |
//! |---|---|
//! | `tandem.engine` | [`ENGINE`] |
//! | `tandem.catalogue.hash` | SHA-256 of the catalogue's ids, see [`Catalogue::hash`](tandem_dataset::Catalogue::hash) |
//! | `tandem.catalogue.items` | number of items |
//! | `tandem.item_ids` | the ids, in the order of the tokens |
//! | `tandem.special_tokens` | names of the tokens after the items |
//! | `tandem.training.*` | provenance of the weights, as text |

mod answers;
mod decoder_config;
mod forward;
mod metadata;
mod model;
pub(crate) mod prefix_cache;
mod read;
pub mod selection;
mod write;

pub use crate::gguf::Encoding;
pub(crate) use answers::{Answers, scored};
pub use decoder_config::{Block, DecoderConfig, DecoderConfigError};
pub(crate) use forward::{Decoder, DecoderState};
pub use metadata::ENGINE;
pub(crate) use metadata::ItemTokenMetadata;
#[cfg(feature = "llama")]
pub(crate) use metadata::engine_of;
pub use model::{ItemTokenModel, SPECIAL_TOKENS};
pub(crate) use read::read_decoder;

#[cfg(test)]
mod tests;
