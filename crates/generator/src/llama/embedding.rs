use std::path::Path;

use llama_cpp_2::{
    context::params::{LlamaContextParams, LlamaPoolingType},
    llama_batch::LlamaBatch,
    model::{LlamaModel, params::LlamaModelParams},
    token::LlamaToken,
};

use super::{
    backend::backend,
    model::{check_text, sha256},
    titles::tokens,
};
use crate::{GeneratorError, gguf::Metadata};

/// Tokens evaluated at once; a text is cut to so many at most.
const BATCH: usize = 512;
const LONGEST: usize = 96;
/// Texts evaluated at once.
const TOGETHER: usize = 64;

/// A language model as a reader of texts: what it makes of them, as vectors.
#[derive(Debug)]
pub struct TextEmbedder {
    model: LlamaModel,
    sha256: String,
    threads: usize,
}

impl TextEmbedder {
    /// Loads any GGUF model of text.
    ///
    /// # Errors
    /// If the file is missing, damaged, not a model of text, or llama.cpp cannot load it.
    pub fn load(gguf: &Path, threads: usize) -> Result<Self, GeneratorError> {
        check_text(gguf, &Metadata::read(gguf)?)?;
        let fault = |message: String| GeneratorError::Load { path: gguf.to_owned(), message };
        let params = LlamaModelParams::default();
        let model = LlamaModel::load_from_file(backend().map_err(fault)?, gguf, &params)
            .map_err(|error| fault(error.to_string()))?;
        Ok(Self { model, sha256: sha256(gguf)?, threads })
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Width of a vector.
    #[must_use]
    pub fn dims(&self) -> usize {
        usize::try_from(self.model.n_embd()).unwrap_or(0)
    }

    /// The mean over its tokens of the last hidden state of each text, `[texts, dims]` in
    /// one vector. A text without tokens gets zeros; of a long one the first 96 tokens are
    /// read. `progress` is told how many texts each batch held.
    ///
    /// # Errors
    /// If there is no memory for a context, or llama.cpp fails.
    pub fn embed(
        &self,
        texts: &[String],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<f32>, GeneratorError> {
        let threads = i32::try_from(self.threads.clamp(1, 512)).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(std::num::NonZeroU32::new(BATCH as u32))
            .with_n_batch(BATCH as u32)
            // A text must be evaluated in one go to be averaged over.
            .with_n_ubatch(BATCH as u32)
            .with_n_seq_max(TOGETHER as u32)
            .with_kv_unified(true)
            .with_embeddings(true)
            .with_pooling_type(LlamaPoolingType::Mean)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let name = || "embedding texts".to_owned();
        let mut context = backend()
            .and_then(|backend| {
                self.model.new_context(backend, params).map_err(|error| error.to_string())
            })
            .map_err(|message| GeneratorError::Context { name: name(), message })?;
        let fault = |error: &dyn std::fmt::Display| GeneratorError::Evaluate {
            doing: "embedding texts",
            message: error.to_string(),
        };

        let (vocab, dims) = (self.model.vocab(), self.dims());
        let mut all = vec![0.0; texts.len() * dims];
        let mut batch = LlamaBatch::new(BATCH, 1);
        let mut held: Vec<usize> = Vec::with_capacity(TOGETHER);
        let mut flush = |batch: &mut LlamaBatch<'_>, held: &mut Vec<usize>| {
            if held.is_empty() {
                return Ok(());
            }
            context.clear_kv_cache();
            context.decode(batch).map_err(|error| fault(&error))?;
            for (sequence, &text) in (0_i32..).zip(held.iter()) {
                let vector = context.embeddings_seq_ith(sequence).map_err(|error| fault(&error))?;
                all[text * dims..(text + 1) * dims].copy_from_slice(vector);
            }
            batch.clear();
            progress(held.len());
            held.clear();
            Ok::<_, GeneratorError>(())
        };
        let mut filled = 0;
        for (number, text) in texts.iter().enumerate() {
            let mut tokens = tokens(&vocab, text, true);
            tokens.truncate(LONGEST);
            if tokens.is_empty() {
                continue;
            }
            if filled + tokens.len() > BATCH || held.len() == TOGETHER {
                flush(&mut batch, &mut held)?;
                filled = 0;
            }
            filled += tokens.len();
            let sequence = i32::try_from(held.len()).unwrap_or(i32::MAX);
            for (position, token) in (0_i32..).zip(tokens) {
                let token = LlamaToken::new(token.cast_signed());
                batch.add(token, position, &[sequence], true).map_err(|error| fault(&error))?;
            }
            held.push(number);
        }
        flush(&mut batch, &mut held)?;
        Ok(all)
    }
}
