//! Models with random weights, and damaged ones, for tests and benchmarks.

mod crafted;

use std::path::Path;

use tandem_dataset::Catalogue;

use crate::{
    gguf::{Encoding, GgufError, Value, Writer},
    item_tokens::{Block, DecoderConfig, ItemTokenModel},
};
pub use crafted::{CRAFTED_FAULTS, crafted_faults, write_crafted_gguf};

/// Width of the residual stream.
const WIDTH: u64 = 32;
/// Width of the feed-forward layers.
const HIDDEN: u64 = 64;
const LAYERS: u32 = 2;
/// Context length in the metadata, llama.cpp's limit of positions.
const CONTEXT: u32 = 4096;

/// Writes a llama-architecture model with two layers of width 32, random weights and a
/// byte-level vocabulary (256 bytes, a space and three special tokens), about 150 KB. Equal
/// seeds give equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write_tiny_gguf(path: &Path, seed: u64) -> Result<(), GgufError> {
    tiny_model(seed)?.write(path)
}

fn tiny_model(seed: u64) -> Result<Writer, GgufError> {
    let mut writer = body("tiny random model", seed, 260)?;
    let mut tokens = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
    let mut kinds = vec![2_i32, 3, 3];
    tokens.extend((0..=255_u8).map(|byte| format!("<0x{byte:02X}>")));
    kinds.extend([6; 256]);
    tokens.push("\u{2581}".to_owned());
    kinds.push(1);
    writer
        .set("tokenizer.ggml.model", "llama")
        .set("tokenizer.ggml.scores", vec![0.0_f32; tokens.len()])
        .set("tokenizer.ggml.tokens", tokens)
        .set("tokenizer.ggml.token_type", kinds)
        .set("tokenizer.ggml.unknown_token_id", 0_u32)
        .set("tokenizer.ggml.bos_token_id", 1_u32)
        .set("tokenizer.ggml.eos_token_id", 2_u32)
        .set("tokenizer.ggml.add_bos_token", true)
        .set("tokenizer.ggml.add_space_prefix", false);
    Ok(writer)
}

/// Writes a model like that of [`write_tiny_gguf`] but without a tokenizer, so that it cannot
/// read text.
///
/// # Errors
/// If the file cannot be written.
pub fn write_gguf_without_text(path: &Path, seed: u64) -> Result<(), GgufError> {
    let mut writer = body("tiny model without text", seed, 100)?;
    writer.set("tokenizer.ggml.model", "none");
    writer.write(path)
}

fn body(name: &str, seed: u64, vocabulary: u32) -> Result<Writer, GgufError> {
    let mut writer = Writer::new("llama");
    let metadata: [(&str, Value); 13] = [
        ("general.name", name.into()),
        ("llama.context_length", CONTEXT.into()),
        ("llama.embedding_length", (WIDTH as u32).into()),
        ("llama.block_count", LAYERS.into()),
        ("llama.feed_forward_length", (HIDDEN as u32).into()),
        ("llama.attention.head_count", 2_u32.into()),
        ("llama.attention.head_count_kv", 1_u32.into()),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5_f32.into()),
        ("llama.rope.freq_base", 10_000.0_f32.into()),
        ("llama.rope.dimension_count", (WIDTH as u32 / 2).into()),
        ("llama.vocab_size", vocabulary.into()),
        ("general.file_type", 0_u32.into()),
        ("general.quantization_version", 2_u32.into()),
    ];
    for (key, value) in metadata {
        writer.set(key, value);
    }
    let mut random = SplitMix64(seed);
    let mut matrix = |writer: &mut Writer, name: &str, inputs: u64, outputs: u64| {
        let scale = 2.0 / (inputs as f32).sqrt();
        let values: Vec<f32> = (0..inputs * outputs).map(|_| random.symmetric() * scale).collect();
        writer.tensor(name, &[inputs, outputs], Encoding::F32, &values).map(|_| ())
    };
    let ones = vec![1.0; WIDTH as usize];
    matrix(&mut writer, "token_embd.weight", WIDTH, vocabulary.into())?;
    matrix(&mut writer, "output.weight", WIDTH, vocabulary.into())?;
    writer.tensor("output_norm.weight", &[WIDTH], Encoding::F32, &ones)?;
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        writer.tensor(&name("attn_norm"), &[WIDTH], Encoding::F32, &ones)?;
        writer.tensor(&name("ffn_norm"), &[WIDTH], Encoding::F32, &ones)?;
        for (part, inputs, outputs) in [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH, WIDTH / 2),
            ("attn_v", WIDTH, WIDTH / 2),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", WIDTH, HIDDEN),
            ("ffn_up", WIDTH, HIDDEN),
            ("ffn_down", HIDDEN, WIDTH),
        ] {
            matrix(&mut writer, &name(part), inputs, outputs)?;
        }
    }
    Ok(writer)
}

/// A decoder over the items of a catalogue, with random weights large enough that every part
/// affects the result. Equal seeds give equal weights. A `tied` model has no output matrix.
#[must_use]
pub fn random_item_tokens(
    catalogue: &Catalogue,
    shape: DecoderConfig,
    tied: bool,
    seed: u64,
) -> ItemTokenModel {
    let mut random = SplitMix64(seed);
    let mut matrix = |inputs: usize, outputs: usize, gain: f32| -> Vec<f32> {
        let scale = gain / (inputs as f32).sqrt();
        (0..inputs * outputs).map(|_| random.symmetric() * scale).collect()
    };
    let norm = |weights: Vec<f32>| weights.into_iter().map(|weight| 1.0 + weight).collect();
    let (dims, kv, inner) = (shape.dims, shape.kv_width(), shape.feed_forward);
    let blocks = (0..shape.blocks)
        .map(|_| Block {
            attn_norm: norm(matrix(dims, 1, 1.0)),
            attn_q: matrix(dims, dims, 2.0),
            attn_k: matrix(dims, kv, 2.0),
            attn_v: matrix(dims, kv, 2.0),
            attn_output: matrix(dims, dims, 2.0),
            ffn_norm: norm(matrix(dims, 1, 1.0)),
            ffn_gate: matrix(dims, inner, 2.0),
            ffn_up: matrix(dims, inner, 2.0),
            ffn_down: matrix(inner, dims, 2.0),
        })
        .collect();
    ItemTokenModel {
        name: "random item tokens".to_owned(),
        catalogue_hash: catalogue.hash().to_owned(),
        item_ids: catalogue.items().iter().map(|item| item.id.clone()).collect(),
        provenance: vec![("seed".to_owned(), seed.to_string())],
        token_embedding: matrix(dims, catalogue.len(), 3.0),
        blocks,
        output_norm: norm(matrix(dims, 1, 1.0)),
        output: (!tied).then(|| matrix(dims, catalogue.len(), 3.0)),
        shape,
    }
}

/// The `SplitMix64` pseudo-random number generator (Steele, Lea & Flood 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    /// A uniform value in `-1..1`.
    fn symmetric(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// A value below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
