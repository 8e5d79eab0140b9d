use std::path::Path;

use llama_cpp_2::{
    context::params::{LlamaContextParams, LlamaPoolingType},
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};

use super::{
    backend::{load_model, new_context},
    titles::tokenize,
    validation::{check_decoder, check_embedder, sha256, unsupported},
};
use crate::{GeneratorError, gguf::Metadata};

/// Maximum number of tokens in one batch, and of those read from one text.
const BATCH_TOKENS: usize = 512;
/// Maximum number of texts in one batch.
const BATCH_TEXTS: usize = 64;

/// How the vectors of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over all tokens.
    Mean,
    /// The vector of the first token.
    Cls,
    /// The vector of the last token.
    Last,
}

impl Pooling {
    /// The name of the choice.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last",
        }
    }

    /// The choice with a [`name`](Self::name).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Mean, Self::Cls, Self::Last].into_iter().find(|it| it.name() == name)
    }

    /// What the metadata say (`<architecture>.pooling_type`); `None` if they say nothing.
    fn of(path: &Path, metadata: &Metadata) -> Result<Option<Self>, GeneratorError> {
        let architecture = metadata.text("general.architecture").unwrap_or("none");
        match metadata.number(&format!("{architecture}.pooling_type")) {
            None | Some(0) => Ok(None),
            Some(1) => Ok(Some(Self::Mean)),
            Some(2) => Ok(Some(Self::Cls)),
            Some(3) => Ok(Some(Self::Last)),
            Some(4) => Err(unsupported(
                path,
                "a model that embeds texts",
                "a reranker, which scores pairs of texts (pooling type 4)",
            )),
            Some(other) => {
                let found = format!("pooling type {other}");
                Err(unsupported(path, "pooling type mean (1), cls (2) or last (3)", &found))
            }
        }
    }
}

/// Computes text embeddings with a GGUF model: an encoder (BERT, nomic-bert), a decoder that was
/// trained to embed (Qwen3-Embedding), or any causal language model.
#[derive(Debug)]
pub struct TextEmbedder {
    model: LlamaModel,
    name: String,
    sha256: String,
    pooling: Pooling,
    threads: usize,
}

impl TextEmbedder {
    /// Loads a GGUF model. `pooling` replaces what the metadata say; without either, the mean is
    /// used.
    ///
    /// # Errors
    /// If the file is missing or damaged, has no tokenizer, is a reranker or an encoder-decoder,
    /// or llama.cpp cannot load it.
    pub fn load(
        gguf: &Path,
        pooling: Option<Pooling>,
        threads: usize,
    ) -> Result<Self, GeneratorError> {
        let metadata = Metadata::read(gguf)?;
        let architecture = metadata.text("general.architecture").unwrap_or("none");
        if ["t5", "clip", "whisper"].iter().any(|kind| architecture.starts_with(kind)) {
            let found = format!("general.architecture {architecture}");
            return Err(unsupported(gguf, "a model that embeds texts", &found));
        }
        let known = Pooling::of(gguf, &metadata)?;
        check_embedder(gguf, &metadata)?;
        if known.is_none() {
            check_decoder(gguf, &metadata)?;
        }
        let file_name = || {
            gguf.file_stem()
                .map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
        };
        Ok(Self {
            name: metadata.text("general.name").map_or_else(file_name, str::to_owned),
            model: load_model(gguf, true)?,
            sha256: sha256(gguf)?,
            pooling: pooling.or(known).unwrap_or(Pooling::Mean),
            threads,
        })
    }

    /// The model's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the vectors of tokens become one.
    #[must_use]
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Dimensions of an embedding.
    #[must_use]
    pub fn dims(&self) -> usize {
        usize::try_from(self.model.n_embd()).unwrap_or(0)
    }

    /// Embeds each text: `[texts, dims]`, not normalised. Only the first 512 tokens of a text
    /// are read, or fewer if the model reads fewer. An empty text gets zeros. `progress` receives
    /// the number of texts in each finished batch.
    ///
    /// # Errors
    /// [`GeneratorError::Context`] if there is not enough memory for a context,
    /// [`GeneratorError::Evaluate`] if llama.cpp fails.
    pub fn embed(
        &self,
        texts: &[&str],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<f32>, GeneratorError> {
        let threads = i32::try_from(self.threads.clamp(1, 512)).unwrap_or(1);
        let pooling = match self.pooling {
            Pooling::Mean => LlamaPoolingType::Mean,
            Pooling::Cls => LlamaPoolingType::Cls,
            Pooling::Last => LlamaPoolingType::Last,
        };
        let params = LlamaContextParams::default()
            .with_n_ctx(std::num::NonZeroU32::new(BATCH_TOKENS as u32))
            .with_n_batch(BATCH_TOKENS as u32)
            // Pooling needs all tokens of a text in one micro-batch.
            .with_n_ubatch(BATCH_TOKENS as u32)
            .with_n_seq_max(BATCH_TEXTS as u32)
            .with_kv_unified(true)
            .with_embeddings(true)
            .with_pooling_type(pooling)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let mut context = new_context(&self.model, params, "text embeddings")?;
        let to_error = |error: &dyn std::fmt::Display| GeneratorError::Evaluate {
            operation: "embedding texts",
            message: error.to_string(),
        };

        let (vocab, dims) = (self.model.vocab(), self.dims());
        let mut all = vec![0.0; texts.len() * dims];
        let mut batch = LlamaBatch::new(BATCH_TOKENS, 1);
        let mut pending: Vec<usize> = Vec::with_capacity(BATCH_TEXTS);
        let mut flush = |batch: &mut LlamaBatch<'_>, pending: &mut Vec<usize>| {
            if pending.is_empty() {
                return Ok(());
            }
            context.clear_kv_cache();
            context.decode(batch).map_err(|error| to_error(&error))?;
            for (sequence, &text) in (0_i32..).zip(pending.iter()) {
                let vector =
                    context.embeddings_seq_ith(sequence).map_err(|error| to_error(&error))?;
                all[text * dims..(text + 1) * dims].copy_from_slice(vector);
            }
            batch.clear();
            progress(pending.len());
            pending.clear();
            Ok::<_, GeneratorError>(())
        };
        let max_tokens = BATCH_TOKENS.min(self.model.n_ctx_train() as usize).max(2);
        // The token that ends every text, if there is one.
        let end = tokenize(&vocab, "a", true)
            .last()
            .copied()
            .filter(|&last| tokenize(&vocab, "b", true).last() == Some(&last));
        let mut filled = 0;
        for (number, text) in texts.iter().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let mut tokens = tokenize(&vocab, text, true);
            if let Some(&last) = tokens.last().filter(|_| tokens.len() > max_tokens) {
                tokens.truncate(max_tokens);
                // Encoders were trained with their separator at the end, decoders that embed with
                // an end token.
                if end == Some(last) {
                    tokens[max_tokens - 1] = last;
                }
            }
            if tokens.is_empty() {
                continue;
            }
            if filled + tokens.len() > BATCH_TOKENS || pending.len() == BATCH_TEXTS {
                flush(&mut batch, &mut pending)?;
                filled = 0;
            }
            filled += tokens.len();
            let sequence = i32::try_from(pending.len()).unwrap_or(i32::MAX);
            for (position, token) in (0_i32..).zip(tokens) {
                let token = LlamaToken::new(token.cast_signed());
                batch.add(token, position, &[sequence], true).map_err(|error| to_error(&error))?;
            }
            pending.push(number);
        }
        flush(&mut batch, &mut pending)?;
        Ok(all)
    }
}
