//! Item tokens: a llama-architecture decoder whose vocabulary is the catalogue.
//!
//! [`ItemTokenModel`] describes such a decoder in plain numbers and writes it as a GGUF file
//! that llama.cpp runs as it is. Token `t` is the catalogue's item of
//! [`ItemIndex`](tandem_dataset::ItemIndex) `t`; special tokens come after the items. One
//! forward pass over a history scores the whole catalogue, so the best `k` are exact
//! ([`selection`]).
//!
//! The file says of itself which engine and which catalogue it is for:
//!
//! | key | value |
//! |---|---|
//! | `tandem.engine` | [`ENGINE`] |
//! | `tandem.catalogue.hash` | SHA-256 of the catalogue's ids, see [`Catalogue::hash`](tandem_dataset::Catalogue::hash) |
//! | `tandem.catalogue.items` | number of items |
//! | `tandem.item_ids` | the ids, in the order of the tokens |
//! | `tandem.special_tokens` | names of the tokens after the items |
//! | `tandem.training.*` | where the weights come from, as text |

mod decoder_config;
mod file;
mod read;
pub mod selection;

pub use decoder_config::{Block, DecoderConfig, DecoderConfigError};
use tandem_protocol::ItemId;

pub use crate::gguf::Encoding;
pub(crate) use file::{Stamp, engine_of};

/// What `tandem.engine` says in a file of this kind.
pub const ENGINE: &str = "item-tokens";

/// Tokens after those of the items, in order. No item stands for them and they are never
/// candidates; `<unknown>` has the mean of all item rows as its embedding.
pub const SPECIAL_TOKENS: [&str; 1] = ["<unknown>"];

/// A decoder over the items of one catalogue, ready to be written.
///
/// All matrices are in GGUF's orientation: row-major `[outputs, inputs]`, so that
/// `values[o * inputs + i]` joins input `i` to output `o` (`y = W·x`). A framework that
/// computes `y = x·W` with `W` as `[inputs, outputs]` has to transpose.
///
/// The computation is that of llama.cpp's `llama` (Touvron et al. 2023, §2.2): `RMSNorm`
/// before each part, rotary positions on adjacent pairs from position 0 at the oldest item
/// read, grouped-query attention scaled by `1/√head width`, `SwiGLU`, no biases; logits are
/// `output · RMSNorm(hidden)`, without a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemTokenModel {
    /// The model's name for people (`general.name`).
    pub name: String,
    /// [`Catalogue::hash`](tandem_dataset::Catalogue::hash) of the catalogue it was trained on.
    pub catalogue_hash: String,
    /// The catalogue's ids in order.
    pub item_ids: Vec<ItemId>,
    /// Where the weights come from: each pair is written as `tandem.training.<key>`.
    pub provenance: Vec<(String, String)>,
    /// Sizes of everything below.
    pub shape: DecoderConfig,
    /// Item rows, `[items, dims]`; rows of special tokens are added on writing.
    pub token_embedding: Vec<f32>,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// Weights of the norm before the output, `[dims]`.
    pub output_norm: Vec<f32>,
    /// Output rows, `[items, dims]`; `None` if the item rows serve as them (tied).
    pub output: Option<Vec<f32>>,
}

impl ItemTokenModel {
    /// Multiplies all logits by `factor`, the inverse of a temperature: how log-probabilities
    /// are calibrated (Guo et al. 2017, §4.2). It goes into the last norm, so the file needs
    /// no key for it and the order of the items stays.
    pub fn scale_logits(&mut self, factor: f32) {
        for weight in &mut self.output_norm {
            *weight *= factor;
        }
    }
}

#[cfg(test)]
mod tests;
