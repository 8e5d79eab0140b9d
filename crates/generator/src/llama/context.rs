use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use llama_cpp_2::{
    DecodeError,
    context::{LlamaContext, params::LlamaContextParams},
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};

use super::backend::new_context;
use crate::{
    GeneratorError,
    search::{Branch, LogitsSource, ReadLogits, Step},
    trie::Token,
};

/// llama.cpp's maximum number of sequences; sequence 0 is the prompt.
pub(crate) const SEQUENCES: usize = 256;
/// Tokens that llama.cpp evaluates at once (`n_ubatch`). Its logits buffer has this many rows
/// of vocabulary width, which dominates the memory: 64 rows of 49,152 values are 13 MB.
const MICROBATCH: u32 = 64;

/// A llama.cpp context as a [`LogitsSource`]: reads a prompt, then evaluates continuations
/// that share the prompt's part of the key-value cache.
///
/// The common prefix of two consecutive prompts is evaluated once.
#[derive(Debug)]
pub struct Evaluator<'m> {
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    /// Tokens stored in sequence 0.
    prompt: Vec<Token>,
    prompt_logits: Vec<f32>,
    /// Number of tokens stored in each sequence, the prompt included.
    lengths: Vec<usize>,
    capacity: usize,
    /// Time within `llama_decode` since it was taken.
    evaluating: Duration,
}

impl<'m> Evaluator<'m> {
    /// Creates a context of `cells` tokens in total that evaluates at most `batch` tokens per
    /// call.
    pub(crate) fn new(
        model: &'m LlamaModel,
        name: &str,
        threads: usize,
        cells: usize,
        batch: usize,
    ) -> Result<Self, GeneratorError> {
        let threads = i32::try_from(threads.clamp(1, 512)).unwrap_or(1);
        let cells = u32::try_from(cells).map_err(|_| GeneratorError::Context {
            name: name.to_owned(),
            message: format!("{cells} tokens are too many"),
        })?;
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(cells))
            .with_n_batch(u32::try_from(batch).unwrap_or(u32::MAX).max(MICROBATCH))
            .with_n_ubatch(MICROBATCH)
            .with_n_seq_max(SEQUENCES as u32)
            // One pool of cells, so that branches share the cells of the prompt.
            .with_kv_unified(true)
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        let context = new_context(model, params, name)?;
        Ok(Self {
            context,
            batch: LlamaBatch::new(batch, 1),
            prompt: Vec::new(),
            prompt_logits: Vec::new(),
            lengths: vec![0; SEQUENCES],
            capacity: batch,
            evaluating: Duration::ZERO,
        })
    }

    /// Reads a prompt of at least one token and drops all branches. Returns the number of
    /// tokens evaluated.
    ///
    /// # Errors
    /// [`GeneratorError::Evaluate`] if llama.cpp fails, for example on a prompt that is longer
    /// than the context.
    pub fn read(&mut self, prompt: &[Token]) -> Result<usize, GeneratorError> {
        let result = self.read_uncached(prompt);
        if result.is_err() {
            self.clear_cache();
        }
        result
    }

    fn read_uncached(&mut self, prompt: &[Token]) -> Result<usize, GeneratorError> {
        let to_error = evaluation_error("reading the prompt");
        let common = self.prompt.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        // The last token is always evaluated, because its logits are needed.
        let common = common.min(prompt.len().saturating_sub(1));
        self.context.llama_kv_cache_seq_keep(0);
        self.context
            .kv_cache_seq_rm(0, Some(to_u32(common)), None)
            .map_err(|error| to_error(&error))?;
        self.prompt.truncate(common);
        let mut at = common;
        while at < prompt.len() {
            let end = prompt.len().min(at + self.capacity);
            self.batch.clear();
            for (position, &token) in prompt.iter().enumerate().take(end).skip(at) {
                self.batch
                    .add(
                        signed(token),
                        to_u32(position).cast_signed(),
                        &[0],
                        position + 1 == prompt.len(),
                    )
                    .map_err(|error| to_error(&error))?;
            }
            self.decode().map_err(|error| to_error(&error))?;
            at = end;
        }
        let logits = self.context.get_logits_ith(self.batch.n_tokens() - 1);
        self.prompt_logits.clear();
        self.prompt_logits.extend_from_slice(logits);
        self.prompt = prompt.to_vec();
        self.lengths.fill(0);
        self.lengths[0] = prompt.len();
        Ok(prompt.len() - common)
    }

    fn evaluate(&mut self, steps: &[Step<'_>]) -> Result<Vec<i32>, GeneratorError> {
        let to_error = evaluation_error("decoding titles");
        self.batch.clear();
        let mut last = Vec::with_capacity(steps.len());
        for step in steps {
            let (from, into) = (sequence(step.from), sequence(step.into));
            self.release(step.into);
            self.context
                .kv_cache_seq_cp(from, into, None, None)
                .map_err(|error| to_error(&error))?;
            let start = self.lengths[step.from];
            for (offset, &token) in step.tokens.iter().enumerate() {
                let position = to_u32(start + offset).cast_signed();
                self.batch
                    .add(signed(token), position, &[into], offset + 1 == step.tokens.len())
                    .map_err(|error| to_error(&error))?;
            }
            self.lengths[step.into] = start + step.tokens.len();
            last.push(self.batch.n_tokens() - 1);
        }
        self.decode().map_err(|error| to_error(&error))?;
        Ok(last)
    }

    /// Tokens per second of llama.cpp alone, for batches shaped like those of the search:
    /// `width` single tokens, each continuing the prompt in its own sequence.
    pub(crate) fn raw_decode_rate(
        &mut self,
        width: usize,
        rounds: usize,
    ) -> Result<f64, GeneratorError> {
        let tokens: Vec<[Token; 1]> = self.prompt.iter().rev().map(|&token| [token]).collect();
        let steps: Vec<Step<'_>> = (1..=width.min(SEQUENCES - 1))
            .map(|into| Step { from: 0, tokens: &tokens[into % tokens.len()], into })
            .collect();
        let start = Instant::now();
        for _ in 0..rounds {
            self.evaluate(&steps)?;
            self.context.synchronize();
        }
        Ok((steps.len() * rounds) as f64 / start.elapsed().as_secs_f64())
    }

    fn decode(&mut self) -> Result<(), DecodeError> {
        let start = Instant::now();
        let decoded = self.context.decode(&mut self.batch);
        self.context.synchronize();
        self.evaluating += start.elapsed();
        decoded
    }

    /// Time within `llama_decode` since the last call.
    pub(crate) fn take_evaluating(&mut self) -> Duration {
        std::mem::take(&mut self.evaluating)
    }

    fn clear_cache(&mut self) {
        self.context.clear_kv_cache();
        self.prompt.clear();
        self.lengths.fill(0);
    }
}

impl LogitsSource for Evaluator<'_> {
    fn prompt(&mut self) -> Result<&[f32], GeneratorError> {
        Ok(&self.prompt_logits)
    }

    fn advance(
        &mut self,
        steps: &[Step<'_>],
        read: &mut ReadLogits<'_>,
    ) -> Result<(), GeneratorError> {
        let last = self.evaluate(steps).inspect_err(|_| self.clear_cache())?;
        last.into_iter()
            .enumerate()
            .try_for_each(|(index, row)| read(index, self.context.get_logits_ith(row)))
    }

    fn release(&mut self, branch: Branch) {
        if branch != 0 && self.lengths[branch] > 0 {
            // Removing a whole sequence from a key-value cache cannot fail.
            let _ = self.context.clear_kv_cache_seq(Some(to_u32(branch)), None, None);
            self.lengths[branch] = 0;
        }
    }
}

fn evaluation_error(operation: &'static str) -> impl Fn(&dyn std::fmt::Display) -> GeneratorError {
    move |error| GeneratorError::Evaluate { operation, message: error.to_string() }
}

fn signed(token: Token) -> LlamaToken {
    LlamaToken::new(token.cast_signed())
}

/// Positions and sequences are below the number of cells, which fits 32 bits.
fn to_u32(value: usize) -> u32 {
    value as u32
}

fn sequence(branch: Branch) -> i32 {
    to_u32(branch).cast_signed()
}
