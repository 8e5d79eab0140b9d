use std::path::Path;

use super::{SplitMix64, tiny_model};
use crate::gguf::{GgufError, Value, Writer};

/// A fault with its name.
type Fault = (&'static str, fn(&mut Writer));

/// Number of variants of [`write_crafted_gguf`] that have one fault, in the order of
/// [`crafted_faults`]. Later ones have one to three random faults.
pub const CRAFTED_FAULTS: usize = FAULTS.len();
/// One of this many random variants also has damaged bytes in its header.
const DAMAGED_HEADER: u64 = 3;
/// Bytes of the header that are damaged at random.
const HEADER: u64 = 8 << 10;

const FAULTS: &[Fault] = &[
    ("not causal", |w| set(w, "llama.attention.causal", false)),
    ("a diffusion model", |w| rename(w, "llada")),
    ("a recurrent model", |w| rename(w, "mamba")),
    ("a hybrid model", |w| rename(w, "lfm2")),
    ("an encoder", |w| rename(w, "bert")),
    ("an encoder with a decoder", |w| rename(w, "t5")),
    ("another architecture", |w| rename(w, "gpt2")),
    ("an architecture with similar tensors", |w| rename(w, "qwen2")),
    ("an architecture with norms of heads", |w| rename(w, "gemma3")),
    ("an architecture with experts", |w| rename(w, "deepseek2")),
    ("an unknown architecture", |w| rename(w, "nothing")),
    ("no architecture", |w| remove(w, "general.architecture")),
    ("second part of a split file", |w| {
        set(w, "split.no", 1_u16);
        set(w, "split.count", 2_u16);
    }),
    ("first part of a split file", |w| {
        set(w, "split.no", 0_u16);
        set(w, "split.count", 2_u16);
        set(w, "split.tensors.count", 40_i32);
    }),
    ("no blocks", |w| set(w, "llama.block_count", 0_u32)),
    ("a missing block", |w| set(w, "llama.block_count", 3_u32)),
    ("a block too many", |w| set(w, "llama.block_count", 1_u32)),
    ("too many blocks", |w| set(w, "llama.block_count", 513_u32)),
    ("absurdly many blocks", |w| set(w, "llama.block_count", u32::MAX)),
    ("blocks as a text", |w| set(w, "llama.block_count", "2")),
    ("only predicting blocks", |w| set(w, "llama.nextn_predict_layers", 2_u32)),
    ("experts without tensors", |w| {
        set(w, "llama.expert_count", 4_u32);
        set(w, "llama.expert_used_count", 2_u32);
    }),
    ("no experts in use", |w| set(w, "llama.expert_count", 4_u32)),
    ("too many experts", |w| set(w, "llama.expert_count", 100_000_u32)),
    ("experts in use but none there", |w| set(w, "llama.expert_used_count", 2_u32)),
    ("groups of experts", |w| set(w, "llama.expert_group_count", 3_u32)),
    ("unknown rope scaling", |w| set(w, "llama.rope.scaling.type", "su")),
    ("rope scaling by factors", |w| set(w, "llama.rope.scaling.type", "longrope")),
    ("a negative rope factor", |w| set(w, "llama.rope.scaling.factor", -1.0_f32)),
    ("a rope base of 0", |w| set(w, "llama.rope.freq_base", 0.0_f32)),
    ("a negative rope base", |w| set(w, "llama.rope.freq_base", -1.0_f32)),
    ("a rope base that is NaN", |w| set(w, "llama.rope.freq_base", f32::NAN)),
    ("a rope base that is tiny", |w| set(w, "llama.rope.freq_base", 1e-38_f32)),
    ("no rope dimensions", |w| set(w, "llama.rope.dimension_count", 0_u32)),
    ("odd rope dimensions", |w| set(w, "llama.rope.dimension_count", 7_u32)),
    ("absurd rope dimensions", |w| set(w, "llama.rope.dimension_count", u32::MAX)),
    ("an epsilon that is NaN", |w| set(w, EPSILON, f32::NAN)),
    ("a negative epsilon", |w| set(w, EPSILON, -1e-5_f32)),
    ("an infinite epsilon", |w| set(w, EPSILON, f32::INFINITY)),
    ("an epsilon of 0", |w| set(w, EPSILON, 0.0_f32)),
    ("a huge epsilon", |w| set(w, EPSILON, 1e30_f32)),
    ("no epsilon", |w| remove(w, EPSILON)),
    ("no context", |w| set(w, "llama.context_length", 0_u32)),
    ("a context of one token", |w| set(w, "llama.context_length", 1_u32)),
    ("an absurd context", |w| set(w, "llama.context_length", u32::MAX)),
    ("no embedding", |w| set(w, "llama.embedding_length", 0_u32)),
    ("another embedding", |w| set(w, "llama.embedding_length", 64_u32)),
    ("an absurd embedding", |w| set(w, "llama.embedding_length", u32::MAX)),
    ("no heads", |w| set(w, "llama.attention.head_count", 0_u32)),
    ("heads that do not divide", |w| set(w, "llama.attention.head_count", 3_u32)),
    ("absurdly many heads", |w| set(w, "llama.attention.head_count", u32::MAX)),
    ("no heads of keys", |w| set(w, "llama.attention.head_count_kv", 0_u32)),
    ("more heads of keys", |w| set(w, "llama.attention.head_count_kv", 4_u32)),
    ("keys of no width", |w| set(w, "llama.attention.key_length", 0_u32)),
    ("keys of another width", |w| set(w, "llama.attention.key_length", 3_u32)),
    ("values of no width", |w| set(w, "llama.attention.value_length", 0_u32)),
    ("no feed-forward layers", |w| set(w, "llama.feed_forward_length", 0_u32)),
    ("absurd feed-forward layers", |w| set(w, "llama.feed_forward_length", u32::MAX)),
    ("another vocabulary size", |w| set(w, "llama.vocab_size", 1_u32)),
    ("a scale that is NaN", |w| set(w, "llama.logit_scale", f32::NAN)),
    ("equal tokens", |w| token(w, 5, "<0x00>")),
    ("a missing byte", |w| token(w, 13, "a line feed")),
    ("empty tokens", |w| token(w, 259, "")),
    ("no vocabulary", |w| remove(w, TOKENS)),
    ("an empty vocabulary", |w| set(w, TOKENS, Value::Array(Vec::new()))),
    ("a vocabulary of numbers", |w| set(w, TOKENS, vec![1_u32; 260])),
    ("a short vocabulary", |w| truncate(w, TOKENS, 258)),
    ("few scores", |w| truncate(w, "tokenizer.ggml.scores", 3)),
    ("scores that are NaN", |w| set(w, "tokenizer.ggml.scores", vec![f32::NAN; 260])),
    ("few kinds of tokens", |w| truncate(w, "tokenizer.ggml.token_type", 3)),
    ("unknown kinds of tokens", |w| set(w, "tokenizer.ggml.token_type", vec![99_i32; 260])),
    ("no kinds of tokens", |w| remove(w, "tokenizer.ggml.token_type")),
    ("no tokenizer", |w| set(w, "tokenizer.ggml.model", "none")),
    ("an unknown tokenizer", |w| set(w, "tokenizer.ggml.model", "nothing")),
    ("a byte-pair tokenizer without merges", |w| set(w, "tokenizer.ggml.model", "gpt2")),
    ("a byte-pair tokenizer without bytes", |w| {
        set(w, "tokenizer.ggml.model", "gpt2");
        set(w, "tokenizer.ggml.merges", vec!["a b", "", " "]);
    }),
    ("a tokenizer without a first token", |w| {
        set(w, "tokenizer.ggml.model", "gemma4");
        set(w, "tokenizer.ggml.merges", vec!["a b"]);
        remove(w, "tokenizer.ggml.bos_token_id");
    }),
    ("a tokenizer of an encoder", |w| set(w, "tokenizer.ggml.model", "bert")),
    ("a unigram tokenizer", |w| set(w, "tokenizer.ggml.model", "t5")),
    ("a recurrent tokenizer", |w| set(w, "tokenizer.ggml.model", "rwkv")),
    ("a test tokenizer", |w| set(w, "tokenizer.ggml.model", "test")),
    ("a first token out of range", |w| set(w, "tokenizer.ggml.bos_token_id", u32::MAX)),
    ("a last token that is added", |w| set(w, "tokenizer.ggml.add_eos_token", true)),
    ("weights that are NaN", |w| fill(w, "output.weight", 7, f32::NAN)),
    ("an embedding that is NaN", |w| fill(w, "token_embd.weight", 32 * 200, f32::NAN)),
    ("infinite weights", |w| fill(w, "blk.1.ffn_down.weight", 9, f32::INFINITY)),
    ("weights that overflow", |w| fill_all(w, "blk.0.attn_q.weight", 3e38)),
    ("norms that overflow", |w| fill_all(w, "output_norm.weight", 3e38)),
    ("weights of 0", |w| fill_all(w, "output.weight", 0.0)),
    ("a missing norm", |w| w.tensors.retain(|tensor| tensor.name != "output_norm.weight")),
    ("a missing matrix", |w| w.tensors.retain(|tensor| tensor.name != "blk.1.attn_q.weight")),
    ("no tensors", |w| w.tensors.clear()),
    ("a tensor twice", |w| {
        let again = w.tensors[3].clone();
        w.tensors.push(again);
    }),
    ("a tensor of another name", |w| w.tensors[4].name = "x".repeat(100)),
    ("a transposed tensor", |w| w.tensors[0].dims.reverse()),
    ("a tensor of four dimensions", |w| w.tensors[0].dims.extend([1, 1])),
    ("a tensor of five dimensions", |w| w.tensors[0].dims.extend([1, 1, 1])),
    ("an empty tensor", |w| w.tensors[2].dims = vec![0]),
    ("a tensor without dimensions", |w| w.tensors[2].dims.clear()),
    ("a tensor of absurd size", |w| w.tensors[0].dims = vec![1 << 32, 1 << 31]),
    ("an alignment of 0", |w| set(w, "general.alignment", 0_u32)),
    ("an alignment of 3", |w| set(w, "general.alignment", 3_u32)),
    ("an absurd alignment", |w| set(w, "general.alignment", 1_u64 << 63)),
    ("an engine that does not exist", |w| set(w, "tandem.engine", "nothing")),
    ("an engine without its metadata", |w| set(w, "tandem.engine", "item-tokens")),
];

const EPSILON: &str = "llama.attention.layer_norm_rms_epsilon";
const TOKENS: &str = "tokenizer.ggml.tokens";

/// The names of the single faults of [`write_crafted_gguf`].
pub fn crafted_faults() -> impl Iterator<Item = &'static str> {
    FAULTS.iter().map(|(name, _)| *name)
}

/// Writes a variant of [`write_tiny_gguf`](super::write_tiny_gguf) that a program must refuse or
/// survive, and returns a description. Equal numbers give equal files.
///
/// # Errors
/// If the file cannot be written.
pub fn write_crafted_gguf(path: &Path, number: u64) -> Result<String, GgufError> {
    let mut writer = tiny_model(7)?;
    if let Some((name, fault)) = usize::try_from(number).ok().and_then(|at| FAULTS.get(at)) {
        fault(&mut writer);
        writer.write(path)?;
        return Ok((*name).to_owned());
    }
    let mut random = SplitMix64(number);
    let mut names = Vec::new();
    for _ in 0..=random.below(3) {
        names.push(random_fault(&mut writer, &mut random));
    }
    writer.write(path)?;
    if number.is_multiple_of(DAMAGED_HEADER) {
        let mut bytes = std::fs::read(path).map_err(GgufError::read(path))?;
        for _ in 0..=random.below(4) {
            let at = random.below(HEADER.min(bytes.len() as u64)) as usize;
            bytes[at] = random.below(256) as u8;
        }
        std::fs::write(path, bytes).map_err(GgufError::read(path))?;
        names.push("damaged bytes".to_owned());
    }
    Ok(names.join(", "))
}

fn random_fault(writer: &mut Writer, random: &mut SplitMix64) -> String {
    let keys = writer.values.len() as u64;
    match random.below(6) {
        0 => {
            let (name, fault) = FAULTS[random.below(FAULTS.len() as u64) as usize];
            // Later faults may need what an earlier one has removed.
            if writer.tensors.len() > 4 {
                fault(writer);
            }
            name.to_owned()
        }
        1 if keys > 0 => {
            let (key, _) = writer.values.remove(random.below(keys) as usize);
            format!("without {key}")
        }
        2 if !writer.tensors.is_empty() => {
            let at = random.below(writer.tensors.len() as u64) as usize;
            let tensor = &mut writer.tensors[at];
            let extreme = [f32::MAX, f32::MIN_POSITIVE, 0.0, f32::NEG_INFINITY, f32::NAN];
            let value = extreme[random.below(5) as usize];
            let from = random.below(tensor.data.len() as u64 / 4 + 1) as usize * 4;
            for bytes in tensor.data[from..].chunks_exact_mut(4) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            format!("{} from {from}: {value}", tensor.name)
        }
        _ if keys > 0 => {
            let (key, value) = &mut writer.values[random.below(keys) as usize];
            *value = random_value(random);
            let text: String = format!("{value:?}").chars().take(40).collect();
            format!("{key} = {text}")
        }
        _ => "nothing".to_owned(),
    }
}

fn random_value(random: &mut SplitMix64) -> Value {
    let integers = [0, 1, 2, 3, 7, 31, 33, 255, 65_536, u64::from(u32::MAX), u64::MAX];
    let integer = integers[random.below(integers.len() as u64) as usize];
    match random.below(8) {
        0 => Value::U64(integer),
        1 => Value::I32(integer as i32),
        2 => Value::F32([-1.0, 1e-30, 1e30, f32::NAN][random.below(4) as usize]),
        3 => Value::Bool(random.below(2) == 1),
        4 => Value::String(["", "llama", "\u{2581}", "nothing"][random.below(4) as usize].into()),
        5 => Value::Array(vec![Value::U32(integer as u32); random.below(300) as usize]),
        _ => Value::U32(integer as u32),
    }
}

fn set(writer: &mut Writer, key: &str, value: impl Into<Value>) {
    writer.set(key, value);
}

fn remove(writer: &mut Writer, key: &str) {
    writer.values.retain(|(name, _)| name != key);
}

/// Makes the model one of another architecture, with the same hyperparameters.
fn rename(writer: &mut Writer, architecture: &str) {
    for (key, _) in &mut writer.values {
        if let Some(rest) = key.strip_prefix("llama.") {
            *key = format!("{architecture}.{rest}");
        }
    }
    writer.set("general.architecture", architecture);
}

fn array<'w>(writer: &'w mut Writer, key: &str) -> Option<&'w mut Vec<Value>> {
    match writer.values.iter_mut().find(|(name, _)| name == key) {
        Some((_, Value::Array(values))) => Some(values),
        _ => None,
    }
}

fn truncate(writer: &mut Writer, key: &str, len: usize) {
    if let Some(values) = array(writer, key) {
        values.truncate(len);
    }
}

fn token(writer: &mut Writer, at: usize, text: &str) {
    if let Some(token) = array(writer, TOKENS).and_then(|tokens| tokens.get_mut(at)) {
        *token = text.into();
    }
}

/// Sets one value of a tensor of F32.
fn fill(writer: &mut Writer, name: &str, at: usize, value: f32) {
    if let Some(tensor) = writer.tensors.iter_mut().find(|tensor| tensor.name == name) {
        tensor.data[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Sets all values of a tensor of F32.
fn fill_all(writer: &mut Writer, name: &str, value: f32) {
    let tensor = writer.tensors.iter_mut().find(|tensor| tensor.name == name);
    for bytes in tensor.into_iter().flat_map(|tensor| tensor.data.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}
