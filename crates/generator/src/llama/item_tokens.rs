use std::{
    borrow::Cow,
    num::NonZeroU32,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use llama_cpp_2::{
    context::{
        LlamaContext,
        params::{KvCacheType, LlamaContextParams},
    },
    llama_batch::LlamaBatch,
    model::LlamaModel,
    token::LlamaToken,
};
use tandem_dataset::{Catalogue, ItemIndex};

use super::{backend::new_context, context::SEQUENCES};
use crate::{
    Generation, Generator, GeneratorError, Query,
    gguf::Metadata,
    item_tokens::{
        Answers, ItemTokenMetadata,
        prefix_cache::{CacheSlot, PrefixCache},
        scored,
        selection::TopKSelector,
    },
    ranking_signals::{FusedScores, RankingSignals, ScoredHistory},
};

/// Maximum memory of the key-value cache, and of one row of logits per history.
const CACHE_BYTES: usize = 128 << 20;
/// Maximum memory of the logits of one llama.cpp micro-batch.
const LOGITS_BYTES: usize = 64 << 20;
/// llama.cpp allocates the cells of a sequence in multiples of this.
const CELLS: usize = 256;
/// Maximum number of histories in one `llama_decode`. Small batches take 5 to 30 % less time
/// per history than single ones. With 64 histories the logits exceed the processor's caches
/// and a history takes longer than alone (12,101 items, 64 dimensions).
const MAX_BATCH: usize = 16;
/// Minimum multiplications in the largest matrix product of a history for which more than one
/// thread is faster. Below it, waking threads costs more than it saves (0.84 against 0.55 ms
/// at 64 dimensions).
const MULTI_THREAD_WORK: u64 = 32_000_000;
/// `llama_flash_attn_type`: disabled, so that sums have the order of the equations.
const NO_FLASH_ATTENTION: i32 = 0;

/// The metadata of an item-token file, checked against the catalogue.
#[derive(Debug)]
pub(crate) struct ItemTokenEngine {
    metadata: ItemTokenMetadata,
    /// Bytes of the key-value cache for one token.
    cache_per_token: usize,
    /// Multiplications in the largest matrix product of a history.
    work: u64,
}

impl ItemTokenEngine {
    pub(crate) fn new(
        path: &Path,
        metadata: &Metadata,
        catalogue: &Catalogue,
    ) -> Result<Self, GeneratorError> {
        let described = ItemTokenMetadata::read_for(metadata, path, catalogue)?;
        // The second dimension of the key and value matrices is the width of keys and values.
        let width = |tensor: &&crate::gguf::TensorInfo| {
            tensor.name.ends_with(".attn_k.weight") || tensor.name.ends_with(".attn_v.weight")
        };
        let widths = metadata.tensors.iter().filter(width).filter_map(|tensor| tensor.dims.get(1));
        let cache_per_token = 4 * widths.map(|&width| width as usize).sum::<usize>();
        let work = metadata.tensors.iter().map(|tensor| {
            let rows =
                if tensor.name.starts_with("blk.") { described.max_length as u64 } else { 1 };
            tensor.dims.iter().fold(rows, |product, &dim| product.saturating_mul(dim))
        });
        let work = work.max().unwrap_or(0);
        Ok(Self { metadata: described, cache_per_token, work })
    }

    /// Creates a generator with its own context for up to `sequences` cached histories.
    pub(crate) fn generator<'m>(
        &self,
        name: &'m str,
        model: &'m LlamaModel,
        catalogue: &'m Catalogue,
        threads: usize,
        sequences: usize,
    ) -> Result<ItemTokenGenerator<'m>, GeneratorError> {
        let ItemTokenMetadata { vocabulary, max_length, .. } = self.metadata;
        let cells = max_length.next_multiple_of(CELLS);
        let row = vocabulary.saturating_mul(4).max(1);
        let cache = cells.saturating_mul(self.cache_per_token).max(row);
        let sequences = sequences.min(CACHE_BYTES / cache).clamp(1, SEQUENCES);
        let batch = sequences * max_length;
        let microbatch = (LOGITS_BYTES / row).clamp(32, 512).min(batch);
        let number = |size: usize| {
            u32::try_from(size).map_err(|_| GeneratorError::Context {
                name: name.to_owned(),
                message: format!("{size} tokens are too many"),
            })
        };
        let threads = if self.work < MULTI_THREAD_WORK { 1 } else { threads };
        let threads = threads.clamp(1, 512);
        let signed_threads = i32::try_from(threads).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(number(cells * sequences)?))
            .with_n_batch(number(batch)?)
            .with_n_ubatch(number(microbatch)?)
            .with_n_seq_max(number(sequences)?)
            // Separate cells for every history, so that attention covers its own only.
            .with_kv_unified(false)
            .with_type_k(KvCacheType::F32)
            .with_type_v(KvCacheType::F32)
            .with_flash_attention_policy(NO_FLASH_ATTENTION)
            .with_n_threads(signed_threads)
            .with_n_threads_batch(signed_threads);
        let context = new_context(model, params, name)?;
        Ok(ItemTokenGenerator {
            name,
            answers: Answers::new(catalogue, max_length),
            threads,
            context,
            batch: LlamaBatch::new(batch, 1),
            prefix_cache: PrefixCache::new(sequences),
            selector: TopKSelector::default(),
            signals: None,
            fused: FusedScores::default(),
        })
    }
}

/// The generator of the item-token engine. One forward pass over the history gives logits for
/// the whole catalogue, so the list is the exact top `k`.
///
/// Histories of earlier queries stay in the key-value cache. A query that extends a cached
/// history evaluates the added items only. A history longer than the model reads is evaluated
/// in full, because every new item shifts the positions of all others.
#[derive(Debug)]
pub struct ItemTokenGenerator<'m> {
    name: &'m str,
    answers: Answers<'m>,
    threads: usize,
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    prefix_cache: PrefixCache,
    selector: TopKSelector,
    signals: Option<Arc<RankingSignals>>,
    fused: FusedScores,
}

/// An evaluated history.
struct EvaluatedHistory {
    /// Row of its last token in the batch.
    row: i32,
    /// Number of tokens evaluated; cached tokens are not counted.
    evaluated: usize,
    /// Number of tokens that were in the cache.
    cached: usize,
}

impl ItemTokenGenerator<'_> {
    /// Whether items of the history can be candidates.
    pub(super) fn with_repeats(mut self, repeats: bool) -> Self {
        self.answers = self.answers.with_repeats(repeats);
        self
    }

    /// Combines the model's scores with further signals.
    pub(super) fn with_signals(mut self, signals: Option<Arc<RankingSignals>>) -> Self {
        self.signals = signals;
        self
    }

    /// The logits of all items, `[items]`, after a history that is not empty, without signals.
    ///
    /// # Errors
    /// [`GeneratorError::UnknownItem`] for an item outside the catalogue, or a failure of the
    /// model.
    pub fn logits(&mut self, history: &[ItemIndex]) -> Result<Vec<f32>, GeneratorError> {
        let query = Query { history, exclude: &[], only: None, added: None, k: 1 };
        self.answers.without_model(&query, history)?;
        let newest = &history[history.len().saturating_sub(self.answers.max_length())..];
        let (evaluated, _) = self.decode(&[newest]).inspect_err(|_| self.clear_cache())?;
        let row = evaluated.first().map_or(0, |history| history.row);
        Ok(self.context.get_logits_ith(row)[..self.answers.items()].to_vec())
    }

    /// Number of evaluation threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Maximum number of cached histories.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.prefix_cache.len()
    }

    /// Clears the prefix cache: the next history is evaluated in full.
    pub fn clear_cache(&mut self) {
        self.context.clear_kv_cache();
        self.prefix_cache.clear();
    }

    /// Milliseconds of `llama_decode` alone for a history in this context, as a reference for
    /// [`Generator::generate`].
    ///
    /// # Errors
    /// If the model fails.
    pub fn raw_decode_ms(&mut self, history: &[ItemIndex]) -> Result<f64, GeneratorError> {
        self.clear_cache();
        let newest = &history[history.len().saturating_sub(self.answers.max_length())..];
        self.batch.clear();
        let uncached = CacheSlot { sequence: 0, cached: 0 };
        add_history(&mut self.batch, uncached, newest).map_err(|error| evaluation_error(&error))?;
        let start = Instant::now();
        self.context.decode(&mut self.batch).map_err(|error| evaluation_error(&error))?;
        self.context.synchronize();
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// Answers at most as many queries as there are sequences, each with the history that the model
    /// reads, which is not empty.
    fn evaluate(
        &mut self,
        queries: &[(&Query<'_>, &[ItemIndex])],
        explain: bool,
    ) -> Result<Vec<Result<Generation, GeneratorError>>, GeneratorError> {
        let start = Instant::now();
        let newest: Vec<&[ItemIndex]> = queries
            .iter()
            .map(|(_, read)| &read[read.len().saturating_sub(self.answers.max_length())..])
            .collect();
        let (histories, evaluating) = self.decode(&newest).inspect_err(|_| self.clear_cache())?;
        let evaluate_ms = evaluating.as_secs_f64() * 1e3 / queries.len() as f64;
        let prompt_ms = start.elapsed().as_secs_f64() * 1e3;
        let answers = queries.iter().zip(histories).map(|(&(query, read), history)| {
            let start = Instant::now();
            let logits = &self.context.get_logits_ith(history.row)[..self.answers.items()];
            let signals = self.signals.as_deref();
            let added = scored(query);
            let scored = ScoredHistory { items: query.history, read, added };
            let scores = match signals {
                _ if explain => self.fused.explained(signals, logits, scored),
                None if added.is_none() => logits,
                _ => self.fused.of(signals, logits, scored),
            };
            let removed = self.answers.removed(query, scores.len());
            let candidates = self.selector.select(scores, removed, query.k)?;
            let explained = candidates.iter().filter(|_| explain);
            let explanations = explained.map(|it| self.fused.explanation(it.item)).collect();
            Ok(Generation {
                candidates,
                explanations,
                prompt_ms,
                decode_ms: start.elapsed().as_secs_f64() * 1e3,
                evaluate_ms,
                prompt_tokens: history.evaluated,
                cached_tokens: history.cached,
                ..self.answers.empty(read)
            })
        });
        Ok(answers.collect())
    }

    /// Evaluates the uncached parts of histories in one batch. Also returns the time within
    /// `llama_decode`.
    fn decode(
        &mut self,
        histories: &[&[ItemIndex]],
    ) -> Result<(Vec<EvaluatedHistory>, Duration), GeneratorError> {
        let slots = self.prefix_cache.assign(histories);
        let mut order: Vec<usize> = (0..histories.len()).collect();
        // llama.cpp evaluates adjacent sequences of equal length together.
        order.sort_by_key(|&at| slots[at].sequence);
        self.batch.clear();
        let mut rows = vec![0; histories.len()];
        for at in order {
            let CacheSlot { sequence, cached } = slots[at];
            self.context
                .kv_cache_seq_rm(to_u32(sequence).cast_signed(), Some(to_u32(cached)), None)
                .map_err(|error| evaluation_error(&error))?;
            add_history(&mut self.batch, slots[at], histories[at])
                .map_err(|error| evaluation_error(&error))?;
            rows[at] = self.batch.n_tokens() - 1;
        }
        let start = Instant::now();
        self.context.decode(&mut self.batch).map_err(|error| evaluation_error(&error))?;
        self.context.synchronize();
        let evaluating = start.elapsed();
        let evaluated = |(row, (items, slot)): (i32, (&&[ItemIndex], &CacheSlot))| {
            let CacheSlot { cached, .. } = *slot;
            EvaluatedHistory { row, evaluated: items.len() - cached, cached }
        };
        let histories = rows.into_iter().zip(histories.iter().zip(&slots)).map(evaluated);
        Ok((histories.collect(), evaluating))
    }
}

impl Generator for ItemTokenGenerator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        let read = self.answers.readable(query);
        if let Some(answer) = self.answers.without_model(query, &read)? {
            return Ok(answer);
        }
        self.evaluate(&[(query, &read)], false)?.remove(0)
    }

    fn explain(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        let read = self.answers.readable(query);
        if let Some(answer) = self.answers.without_model(query, &read)? {
            return Ok(answer);
        }
        self.evaluate(&[(query, &read)], true)?.remove(0)
    }

    fn max_batch(&self) -> usize {
        self.sequences().min(MAX_BATCH)
    }

    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        let mut answers = Vec::with_capacity(queries.len());
        let mut pending = Vec::new();
        let read: Vec<Cow<'_, [ItemIndex]>> =
            queries.iter().map(|query| self.answers.readable(query)).collect();
        for (at, query) in queries.iter().enumerate() {
            match self.answers.without_model(query, &read[at]) {
                Ok(None) => {
                    pending.push(at);
                    answers.push(Ok(self.answers.empty(&read[at])));
                }
                Ok(Some(answer)) => answers.push(Ok(answer)),
                Err(error) => answers.push(Err(error)),
            }
        }
        for positions in pending.chunks(self.max_batch()) {
            let batch: Vec<(&Query<'_>, &[ItemIndex])> =
                positions.iter().map(|&at| (&queries[at], &*read[at])).collect();
            match self.evaluate(&batch, false) {
                Ok(generations) => {
                    for (&at, answer) in positions.iter().zip(generations) {
                        answers[at] = answer;
                    }
                }
                // Evaluates each query alone, so that only the faulty ones fail.
                Err(_) => {
                    for &at in positions {
                        answers[at] = self.generate(&queries[at]);
                    }
                }
            }
        }
        answers
    }
}

/// Adds the uncached items of a history to a batch and requests the logits of the last one.
fn add_history(
    batch: &mut LlamaBatch<'_>,
    slot: CacheSlot,
    history: &[ItemIndex],
) -> Result<(), llama_cpp_2::llama_batch::BatchAddError> {
    let sequence = to_u32(slot.sequence).cast_signed();
    for (position, item) in history.iter().enumerate().skip(slot.cached) {
        let token = LlamaToken::new(item.0.cast_signed());
        let last = position + 1 == history.len();
        batch.add(token, to_u32(position).cast_signed(), &[sequence], last)?;
    }
    Ok(())
}

fn evaluation_error(error: &dyn std::fmt::Display) -> GeneratorError {
    GeneratorError::Evaluate { operation: "reading the history", message: error.to_string() }
}

/// Positions and sequences are below the number of cells, which fits 32 bits.
fn to_u32(value: usize) -> u32 {
    value as u32
}
