use std::{num::NonZeroU32, path::Path, time::Instant};

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
use tandem_protocol::Ranking;

use super::{
    backend::backend,
    context::SEQUENCES,
    histories::{Histories, Place},
};
use crate::{
    Generation, Generator, GeneratorError, Query,
    gguf::Metadata,
    item_tokens::{Stamp, selection::Selector},
    popularity::most_popular_items,
};

/// Memory that the key-value cache may take, and that one row of logits per history may.
const CACHE_BYTES: usize = 128 << 20;
/// Memory that the logits of the tokens evaluated at once inside llama.cpp may take.
const LOGITS_BYTES: usize = 64 << 20;
/// llama.cpp gives every sequence cells in multiples of this.
const CELLS: usize = 256;
/// Histories in one `llama_decode`. Some together take 5 to 30 % less time each than alone;
/// of 64, the scores no longer fit the processor's caches and each takes longer than alone
/// (12,101 items, 64 wide).
const TOGETHER: usize = 16;
/// Multiplications in the largest matrix product of a history from which on threads are
/// worth waking: below, they take longer than one (0.84 against 0.55 ms at 64 dimensions).
const WORTH_THREADS: u64 = 32_000_000;
/// `llama_flash_attn_type`: plain attention, whose sums are those of the equations.
const NO_FLASH_ATTENTION: i32 = 0;

/// What a file of item tokens says of itself, checked against the catalogue.
#[derive(Debug)]
pub(crate) struct ItemTokens {
    stamp: Stamp,
    /// Bytes of the key-value cache for one token.
    cache_per_token: usize,
    /// Multiplications in the largest matrix product of a history.
    work: u64,
}

impl ItemTokens {
    pub(crate) fn new(
        path: &Path,
        metadata: &Metadata,
        catalogue: &Catalogue,
    ) -> Result<Self, GeneratorError> {
        let unsupported = |(expected, found)| GeneratorError::Unsupported {
            path: path.to_owned(),
            expected,
            found,
        };
        let stamp = Stamp::read(metadata).map_err(unsupported)?;
        if stamp.catalogue_hash != catalogue.hash() {
            return Err(GeneratorError::OtherCatalogue {
                path: path.to_owned(),
                expected: catalogue.hash().to_owned(),
                found: stamp.catalogue_hash,
            });
        }
        if stamp.items != catalogue.len() {
            let expected = format!("{} items", catalogue.len());
            return Err(unsupported((expected, stamp.items.to_string())));
        }
        // Keys and values: their matrices' second dimension is their width.
        let width = |tensor: &&crate::gguf::TensorInfo| {
            tensor.name.ends_with(".attn_k.weight") || tensor.name.ends_with(".attn_v.weight")
        };
        let widths = metadata.tensors.iter().filter(width).filter_map(|tensor| tensor.dims.get(1));
        let cache_per_token = 4 * widths.map(|&width| width as usize).sum::<usize>();
        let work = metadata.tensors.iter().map(|tensor| {
            let rows = if tensor.name.starts_with("blk.") { stamp.max_length as u64 } else { 1 };
            tensor.dims.iter().fold(rows, |product, &dim| product.saturating_mul(dim))
        });
        let work = work.max().unwrap_or(0);
        Ok(Self { stamp, cache_per_token, work })
    }

    /// Makes a generator with a context of its own, for up to `sequences` histories at once.
    pub(crate) fn generator<'m>(
        &self,
        name: &'m str,
        model: &'m LlamaModel,
        catalogue: &'m Catalogue,
        threads: usize,
        sequences: usize,
    ) -> Result<ItemTokenGenerator<'m>, String> {
        let Stamp { vocabulary, max_length, .. } = self.stamp;
        let cells = max_length.next_multiple_of(CELLS);
        let row = vocabulary.saturating_mul(4).max(1);
        let cache = cells.saturating_mul(self.cache_per_token).max(row);
        let sequences = sequences.min(CACHE_BYTES / cache).clamp(1, SEQUENCES);
        let batch = sequences * max_length;
        let microbatch = (LOGITS_BYTES / row).clamp(32, 512).min(batch);
        let number = |size: usize| {
            u32::try_from(size).map_err(|_| format!("{size} tokens in a context are too many"))
        };
        let threads = if self.work < WORTH_THREADS { 1 } else { threads };
        let threads = threads.clamp(1, 512);
        let signed_threads = i32::try_from(threads).unwrap_or(1);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(number(cells * sequences)?))
            .with_n_batch(number(batch)?)
            .with_n_ubatch(number(microbatch)?)
            .with_n_seq_max(number(sequences)?)
            // Cells of its own for every history: none attends over another's.
            .with_kv_unified(false)
            .with_type_k(KvCacheType::F32)
            .with_type_v(KvCacheType::F32)
            .with_flash_attention_policy(NO_FLASH_ATTENTION)
            .with_n_threads(signed_threads)
            .with_n_threads_batch(signed_threads);
        let context = model.new_context(backend()?, params).map_err(|error| error.to_string())?;
        Ok(ItemTokenGenerator {
            name,
            catalogue,
            max_length,
            threads,
            context,
            batch: LlamaBatch::new(batch, 1),
            histories: Histories::new(sequences),
            selector: Selector::default(),
        })
    }
}

/// Generates by one forward pass over the history, whose last row of logits ranks the whole
/// catalogue: the list is the exact best `k`.
///
/// Histories of earlier queries stay in the key-value cache. A query whose history is an
/// earlier one with items added evaluates those only, as long as it is not longer than what
/// the model reads: beyond that every item's position changes with each new one, and all
/// are evaluated.
#[derive(Debug)]
pub struct ItemTokenGenerator<'m> {
    name: &'m str,
    catalogue: &'m Catalogue,
    max_length: usize,
    threads: usize,
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    histories: Histories,
    selector: Selector,
}

/// A history that was evaluated.
struct Read {
    /// Where in the batch its last token stands.
    row: i32,
    evaluated: usize,
}

impl ItemTokenGenerator<'_> {
    /// Threads that evaluate.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Histories that are remembered at most.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.histories.len()
    }

    /// Forgets all histories: the next one is evaluated whole.
    pub fn forget(&mut self) {
        self.context.clear_kv_cache();
        self.histories.clear();
    }

    /// Milliseconds of `llama_decode` alone for a history, in this context. To compare
    /// [`Generator::generate`] with.
    ///
    /// # Errors
    /// If the model fails.
    pub fn raw_decode_ms(&mut self, history: &[ItemIndex]) -> Result<f64, GeneratorError> {
        self.forget();
        let newest = &history[history.len().saturating_sub(self.max_length)..];
        self.batch.clear();
        let whole = Place { sequence: 0, known: 0 };
        add(&mut self.batch, whole, newest).map_err(|error| fault(&error))?;
        let start = Instant::now();
        self.context.decode(&mut self.batch).map_err(|error| fault(&error))?;
        self.context.synchronize();
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    /// The answer, if it takes no model.
    fn without_model(&self, query: &Query<'_>) -> Result<Option<Generation>, GeneratorError> {
        let len = self.catalogue.len();
        let mut named = query.history.iter().chain(query.exclude);
        if let Some(item) = named.find(|item| item.position() >= len) {
            return Err(GeneratorError::UnknownItem { index: item.0, items: len });
        }
        if !query.history.is_empty() && query.k > 0 {
            return Ok(None);
        }
        let mut generation = self.blank(query);
        if query.history.is_empty() {
            generation.ranking = Ranking::Popularity;
            generation.candidates = most_popular_items(self.catalogue, query.exclude, query.k);
        }
        Ok(Some(generation))
    }

    fn blank(&self, query: &Query<'_>) -> Generation {
        Generation {
            candidates: Vec::new(),
            ranking: Ranking::LanguageModel,
            truncated: query.history.len().saturating_sub(self.max_length),
            prompt_ms: 0.0,
            decode_ms: 0.0,
            prompt_tokens: 0,
            decoded_tokens: 0,
        }
    }

    /// Answers as many queries as there are sequences; histories are not empty.
    fn evaluate(
        &mut self,
        queries: &[&Query<'_>],
    ) -> Result<Vec<Result<Generation, GeneratorError>>, GeneratorError> {
        let start = Instant::now();
        let newest: Vec<&[ItemIndex]> = queries
            .iter()
            .map(|query| &query.history[query.history.len().saturating_sub(self.max_length)..])
            .collect();
        let reads = self.decode(&newest).inspect_err(|_| self.forget())?;
        let prompt_ms = start.elapsed().as_secs_f64() * 1e3;
        let answers = queries.iter().zip(reads).map(|(query, read)| {
            let start = Instant::now();
            let logits = &self.context.get_logits_ith(read.row)[..self.catalogue.len()];
            let removed = query.history.iter().chain(query.exclude).copied();
            let candidates = self.selector.select(logits, removed, query.k)?;
            Ok(Generation {
                candidates,
                prompt_ms,
                decode_ms: start.elapsed().as_secs_f64() * 1e3,
                prompt_tokens: read.evaluated,
                ..self.blank(query)
            })
        });
        Ok(answers.collect())
    }

    /// Evaluates histories together, what of them is not in the cache.
    fn decode(&mut self, histories: &[&[ItemIndex]]) -> Result<Vec<Read>, GeneratorError> {
        let places = self.histories.place(histories);
        let mut order: Vec<usize> = (0..histories.len()).collect();
        // llama.cpp evaluates neighbouring sequences of one length together.
        order.sort_by_key(|&at| places[at].sequence);
        self.batch.clear();
        let mut rows = vec![0; histories.len()];
        for at in order {
            let Place { sequence, known } = places[at];
            self.context
                .kv_cache_seq_rm(narrow(sequence).cast_signed(), Some(narrow(known)), None)
                .map_err(|error| fault(&error))?;
            add(&mut self.batch, places[at], histories[at]).map_err(|error| fault(&error))?;
            rows[at] = self.batch.n_tokens() - 1;
        }
        self.context.decode(&mut self.batch).map_err(|error| fault(&error))?;
        self.context.synchronize();
        let evaluated =
            histories.iter().zip(&places).map(|(items, place)| items.len() - place.known);
        Ok(rows
            .into_iter()
            .zip(evaluated)
            .map(|(row, evaluated)| Read { row, evaluated })
            .collect())
    }
}

impl Generator for ItemTokenGenerator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        if let Some(answer) = self.without_model(query)? {
            return Ok(answer);
        }
        self.evaluate(&[query])?.remove(0)
    }

    fn together(&self) -> usize {
        self.sequences().min(TOGETHER)
    }

    fn generate_batch(&mut self, queries: &[Query<'_>]) -> Vec<Result<Generation, GeneratorError>> {
        let mut answers = Vec::with_capacity(queries.len());
        let mut waiting = Vec::new();
        for (at, query) in queries.iter().enumerate() {
            match self.without_model(query) {
                Ok(None) => {
                    waiting.push(at);
                    answers.push(Ok(self.blank(query)));
                }
                Ok(Some(answer)) => answers.push(Ok(answer)),
                Err(error) => answers.push(Err(error)),
            }
        }
        for group in waiting.chunks(self.together()) {
            let together: Vec<&Query<'_>> = group.iter().map(|&at| &queries[at]).collect();
            match self.evaluate(&together) {
                Ok(found) => {
                    for (&at, answer) in group.iter().zip(found) {
                        answers[at] = answer;
                    }
                }
                // Whoever is at fault fails alone.
                Err(_) => {
                    for &at in group {
                        answers[at] = self.generate(&queries[at]);
                    }
                }
            }
        }
        answers
    }
}

/// Adds what of a history the cache does not know, asking for the logits of the last token.
fn add(
    batch: &mut LlamaBatch<'_>,
    place: Place,
    history: &[ItemIndex],
) -> Result<(), llama_cpp_2::llama_batch::BatchAddError> {
    let sequence = narrow(place.sequence).cast_signed();
    for (position, item) in history.iter().enumerate().skip(place.known) {
        let token = LlamaToken::new(item.0.cast_signed());
        let last = position + 1 == history.len();
        batch.add(token, narrow(position).cast_signed(), &[sequence], last)?;
    }
    Ok(())
}

fn fault(error: &dyn std::fmt::Display) -> GeneratorError {
    GeneratorError::Evaluate { doing: "reading the history", message: error.to_string() }
}

/// Positions and sequences are bounded by the context's cells, which fit 32 bits.
fn narrow(value: usize) -> u32 {
    value as u32
}
