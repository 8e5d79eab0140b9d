//! Converts a BERT sentence embedder in the layout of the `transformers` library to GGUF, for
//! `TextEmbedder` (feature `llama`).
//!
//! The folder holds `config.json`, `model.safetensors`, `vocab.txt` (`WordPiece`, uncased) and,
//! as the `sentence-transformers` library writes it, `1_Pooling/config.json`. Names of tensors
//! and metadata are those of llama.cpp's architecture `bert`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::{
    GeneratorError,
    gguf::{Encoding, GgufError, Value, Writer},
};

/// Types of tokens in GGUF files.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// The parts of `config.json` that the network needs.
#[derive(Debug, Deserialize)]
struct Config {
    hidden_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    intermediate_size: u64,
    max_position_embeddings: u64,
    layer_norm_eps: f32,
    type_vocab_size: u64,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

/// `1_Pooling/config.json`.
#[derive(Debug, Default, Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
}

/// `tokenizer_config.json`.
#[derive(Debug, Deserialize)]
struct TokenizerConfig {
    #[serde(default = "yes")]
    do_lower_case: bool,
}

fn yes() -> bool {
    true
}

/// Writes the model in `folder` as the GGUF file `out`. Matrices are stored in `encoding`, all
/// other weights in F32. `name` is the model's name for people.
///
/// # Errors
/// [`GeneratorError::Unsupported`] if the folder does not hold such a model, and
/// [`GeneratorError::Gguf`] if a file cannot be read or written.
pub fn convert_bert(
    folder: &Path,
    name: &str,
    out: &Path,
    encoding: Encoding,
) -> Result<(), GeneratorError> {
    let source = Source { folder };
    let config: Config = source.json("config.json")?;
    source.check(&config)?;
    let pooling: PoolingConfig = source.optional_json("1_Pooling/config.json")?.unwrap_or_default();
    let vocabulary = source.vocabulary()?;

    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).map_err(GgufError::read(&path))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| unusable(&path, "a safetensors file", error.to_string()))?;

    let mut writer = Writer::new("bert");
    write_metadata(&mut writer, name, &config, &pooling, encoding);
    write_vocabulary(&mut writer, &vocabulary, &path)?;
    let mut tensors = Tensors { writer: &mut writer, file, path: &path, encoding };
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let embeddings = "embeddings";
    tensors.matrix(
        "token_embd",
        &format!("{embeddings}.word_embeddings"),
        hidden,
        vocabulary.len() as u64,
    )?;
    // llama.cpp adds the row of the first sentence, and needs both tables in F32 or F16.
    let types = config.type_vocab_size;
    tensors.plain(
        "token_types",
        &format!("{embeddings}.token_type_embeddings"),
        &[hidden, types],
    )?;
    let positions = config.max_position_embeddings;
    tensors.plain(
        "position_embd",
        &format!("{embeddings}.position_embeddings"),
        &[hidden, positions],
    )?;
    tensors.norm("token_embd_norm", &format!("{embeddings}.LayerNorm"), hidden)?;
    for layer in 0..config.num_hidden_layers {
        let from = |part: &str| format!("encoder.layer.{layer}.{part}");
        let to = |part: &str| format!("blk.{layer}.{part}");
        for (part, to_part) in [("query", "attn_q"), ("key", "attn_k"), ("value", "attn_v")] {
            tensors.linear(
                &to(to_part),
                &from(&format!("attention.self.{part}")),
                hidden,
                hidden,
            )?;
        }
        tensors.linear(&to("attn_output"), &from("attention.output.dense"), hidden, hidden)?;
        tensors.norm(&to("attn_output_norm"), &from("attention.output.LayerNorm"), hidden)?;
        tensors.linear(&to("ffn_up"), &from("intermediate.dense"), hidden, inner)?;
        tensors.linear(&to("ffn_down"), &from("output.dense"), inner, hidden)?;
        tensors.norm(&to("layer_output_norm"), &from("output.LayerNorm"), hidden)?;
    }
    Ok(writer.write(out)?)
}

fn write_metadata(
    writer: &mut Writer,
    name: &str,
    config: &Config,
    pooling: &PoolingConfig,
    encoding: Encoding,
) {
    let number = |size: u64| Value::U32(size as u32);
    writer
        .set("general.name", name)
        .set("general.file_type", encoding.file_type())
        .set("bert.block_count", number(config.num_hidden_layers))
        .set("bert.context_length", number(config.max_position_embeddings))
        .set("bert.embedding_length", number(config.hidden_size))
        .set("bert.feed_forward_length", number(config.intermediate_size))
        .set("bert.attention.head_count", number(config.num_attention_heads))
        .set("bert.attention.layer_norm_epsilon", config.layer_norm_eps)
        .set("bert.attention.causal", false)
        .set("bert.pooling_type", if pooling.pooling_mode_cls_token { 2_u32 } else { 1 })
        .set("tokenizer.ggml.token_type_count", number(config.type_vocab_size));
}

/// llama.cpp marks the beginning of a word instead of its continuation.
fn write_vocabulary(
    writer: &mut Writer,
    vocabulary: &[String],
    path: &Path,
) -> Result<(), GeneratorError> {
    let special = |token: &str| token.starts_with('[') && token.ends_with(']') && token.len() > 2;
    let written: Vec<String> = vocabulary
        .iter()
        .map(|token| match token.strip_prefix("##") {
            Some(rest) if !rest.is_empty() => rest.to_owned(),
            _ if special(token) => token.clone(),
            _ => format!("\u{2581}{token}"),
        })
        .collect();
    let types: Vec<i32> =
        vocabulary.iter().map(|token| if special(token) { CONTROL } else { NORMAL }).collect();
    writer
        .set("tokenizer.ggml.model", "bert")
        .set("tokenizer.ggml.tokens", written)
        .set("tokenizer.ggml.token_type", types);
    for (token, key) in [
        ("[CLS]", "bos_token_id"),
        ("[SEP]", "seperator_token_id"),
        ("[UNK]", "unknown_token_id"),
        ("[PAD]", "padding_token_id"),
        ("[MASK]", "mask_token_id"),
    ] {
        let position = vocabulary.iter().position(|known| known == token).ok_or_else(|| {
            unusable(
                &path.with_file_name("vocab.txt"),
                &format!("the token {token}"),
                "none".into(),
            )
        })?;
        writer.set(&format!("tokenizer.ggml.{key}"), Value::U32(position as u32));
    }
    Ok(())
}

/// The files of the model.
struct Source<'a> {
    folder: &'a Path,
}

impl Source<'_> {
    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T, GeneratorError> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).map_err(GgufError::read(&path))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            unusable(&path, "the configuration of a BERT model", error.to_string())
        })
    }

    fn optional_json<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, GeneratorError> {
        if self.folder.join(name).exists() { self.json(name).map(Some) } else { Ok(None) }
    }

    /// Refuses what llama.cpp's architecture does not compute.
    fn check(&self, config: &Config) -> Result<(), GeneratorError> {
        let path = self.folder.join("config.json");
        if config.hidden_act != "gelu" {
            return Err(unusable(&path, "hidden_act gelu", config.hidden_act.clone()));
        }
        if config.position_embedding_type != "absolute" {
            let found = config.position_embedding_type.clone();
            return Err(unusable(&path, "position_embedding_type absolute", found));
        }
        let tokenizer: Option<TokenizerConfig> = self.optional_json("tokenizer_config.json")?;
        if tokenizer.is_some_and(|tokenizer| !tokenizer.do_lower_case) {
            let path = self.folder.join("tokenizer_config.json");
            return Err(unusable(&path, "an uncased model (do_lower_case true)", "false".into()));
        }
        Ok(())
    }

    fn vocabulary(&self) -> Result<Vec<String>, GeneratorError> {
        let path = self.folder.join("vocab.txt");
        let text = fs::read_to_string(&path).map_err(GgufError::read(&path))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Copies tensors from the `safetensors` file.
struct Tensors<'a> {
    writer: &'a mut Writer,
    file: SafeTensors<'a>,
    path: &'a Path,
    encoding: Encoding,
}

impl Tensors<'_> {
    /// A matrix with a bias.
    fn linear(
        &mut self,
        to: &str,
        from: &str,
        inputs: u64,
        outputs: u64,
    ) -> Result<(), GeneratorError> {
        self.matrix(to, from, inputs, outputs)?;
        self.copy(&format!("{to}.bias"), &format!("{from}.bias"), &[outputs], Encoding::F32)
    }

    fn matrix(
        &mut self,
        to: &str,
        from: &str,
        inputs: u64,
        outputs: u64,
    ) -> Result<(), GeneratorError> {
        let encoding = self.encoding.for_width(inputs);
        let dims = [inputs, outputs];
        self.copy(&format!("{to}.weight"), &format!("{from}.weight"), &dims, encoding)
    }

    fn norm(&mut self, to: &str, from: &str, width: u64) -> Result<(), GeneratorError> {
        for part in ["weight", "bias"] {
            self.copy(&format!("{to}.{part}"), &format!("{from}.{part}"), &[width], Encoding::F32)?;
        }
        Ok(())
    }

    fn plain(&mut self, to: &str, from: &str, dims: &[u64]) -> Result<(), GeneratorError> {
        self.copy(&format!("{to}.weight"), &format!("{from}.weight"), dims, Encoding::F32)
    }

    /// `dims` lists the fastest-varying dimension first, unlike the source.
    fn copy(
        &mut self,
        to: &str,
        from: &str,
        dims: &[u64],
        encoding: Encoding,
    ) -> Result<(), GeneratorError> {
        let tensor =
            self.file.tensor(from).or_else(|_| self.file.tensor(&format!("bert.{from}"))).map_err(
                |_| unusable(self.path, &format!("the tensor {from}"), "none".to_owned()),
            )?;
        let shape: Vec<u64> = tensor.shape().iter().rev().map(|&size| size as u64).collect();
        if shape != dims {
            let expected = format!("{from} of the shape {dims:?}, inputs first");
            return Err(unusable(self.path, &expected, format!("{shape:?}")));
        }
        let data = tensor.data();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => {
                data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Dtype::F16 => Encoding::F16.decode(data),
            other => {
                let expected = format!("{from} in F32 or F16");
                return Err(unusable(self.path, &expected, format!("{other:?}")));
            }
        };
        self.writer.tensor(to, dims, encoding, &values)?;
        Ok(())
    }
}

fn unusable(path: &Path, expected: &str, found: String) -> GeneratorError {
    let path: PathBuf = path.to_owned();
    GeneratorError::Unsupported { path, expected: expected.to_owned(), found }
}
