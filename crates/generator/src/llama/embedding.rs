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
    validation::{check_metadata, sha256},
};
use crate::{GeneratorError, gguf::Metadata};

/// Maximum number of tokens in one batch.
const BATCH_TOKENS: usize = 512;
/// Maximum number of tokens read from one text.
const MAX_TEXT_TOKENS: usize = 96;
/// Maximum number of texts in one batch.
const BATCH_TEXTS: usize = 64;

/// Computes text embeddings with a language model.
#[derive(Debug)]
pub struct TextEmbedder {
    model: LlamaModel,
    sha256: String,
    threads: usize,
}

impl TextEmbedder {
    /// Loads any GGUF language model.
    ///
    /// # Errors
    /// If the file is missing, damaged or not a text model, or llama.cpp cannot load it.
    pub fn load(gguf: &Path, threads: usize) -> Result<Self, GeneratorError> {
        check_metadata(gguf, &Metadata::read(gguf)?)?;
        Ok(Self { model: load_model(gguf, true)?, sha256: sha256(gguf)?, threads })
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

    /// Embeds each text as the mean of the last hidden states of its tokens: `[texts, dims]`.
    /// Only the first 96 tokens of a text are read. A text without tokens gets zeros.
    /// `progress` receives the number of texts in each finished batch.
    ///
    /// # Errors
    /// [`GeneratorError::Context`] if there is not enough memory for a context,
    /// [`GeneratorError::Evaluate`] if llama.cpp fails.
    pub fn embed(
        &self,
        texts: &[String],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<f32>, GeneratorError> {
        let threads = i32::try_from(self.threads.clamp(1, 512)).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(std::num::NonZeroU32::new(BATCH_TOKENS as u32))
            .with_n_batch(BATCH_TOKENS as u32)
            // Mean pooling needs all tokens of a text in one micro-batch.
            .with_n_ubatch(BATCH_TOKENS as u32)
            .with_n_seq_max(BATCH_TEXTS as u32)
            .with_kv_unified(true)
            .with_embeddings(true)
            .with_pooling_type(LlamaPoolingType::Mean)
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
        let mut filled = 0;
        for (number, text) in texts.iter().enumerate() {
            let mut tokens = tokenize(&vocab, text, true);
            tokens.truncate(MAX_TEXT_TOKENS);
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
