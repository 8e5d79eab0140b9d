use tandem_protocol::ItemId;

use super::decoder_config::{Block, DecoderConfig};

/// The tokens after the item tokens, in order. They are never candidates. The embedding of
/// `<unknown>` is the mean of all item rows.
pub const SPECIAL_TOKENS: [&str; 1] = ["<unknown>"];

/// The weights of a decoder over the items of one catalogue.
///
/// All matrices have GGUF's layout: row-major `[outputs, inputs]`, `values[o * inputs + i]`
/// connects input `i` to output `o` (`y = W·x`). A framework that computes `y = x·W` with `W`
/// as `[inputs, outputs]` must transpose.
///
/// The computation is that of llama.cpp's `llama` architecture (Touvron et al. 2023, §2.2):
/// pre-norm blocks with `RMSNorm`, rotary position embeddings on adjacent pairs with position
/// 0 at the oldest item read, grouped-query attention scaled by `1/√head_width`, `SwiGLU`, no
/// biases. The logits are `output · RMSNorm(hidden)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemTokenModel {
    /// The model's name for people (`general.name`).
    pub name: String,
    /// [`Catalogue::hash`](tandem_dataset::Catalogue::hash) of the catalogue it was trained on.
    pub catalogue_hash: String,
    /// The catalogue's ids in order.
    pub item_ids: Vec<ItemId>,
    /// Provenance of the weights; each pair is written as `tandem.training.<key>`.
    pub provenance: Vec<(String, String)>,
    /// Sizes of the tensors below.
    pub shape: DecoderConfig,
    /// Item rows, `[items, dims]`. The rows of the special tokens are added when writing.
    pub token_embedding: Vec<f32>,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// Weights of the final norm, `[dims]`.
    pub output_norm: Vec<f32>,
    /// Output matrix, `[items, dims]`; `None` if it is tied to the item rows.
    pub output: Option<Vec<f32>>,
}

impl ItemTokenModel {
    /// Multiplies all logits by `factor`, an inverse temperature, to calibrate the
    /// log-probabilities (temperature scaling, Guo et al. 2017, §4.2). The factor is folded
    /// into the final norm, so the file needs no further key. The ranking does not change.
    pub fn scale_logits(&mut self, factor: f32) {
        for weight in &mut self.output_norm {
            *weight *= factor;
        }
    }
}
