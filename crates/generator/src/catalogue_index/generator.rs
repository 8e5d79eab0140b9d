use std::time::Instant;

use tandem_dataset::Catalogue;

use super::CatalogueIndex;
use crate::{
    Generation, Generator, GeneratorError, Query,
    item_tokens::{Answers, DecoderState, prefix_cache::PrefixCache},
};

/// The generator of an indexed item-token model. Its lists have most of the exact best items; see
/// the [module](super).
///
/// Histories of earlier queries are kept, as by the exact generator: a query that extends one
/// evaluates the added items only.
#[derive(Debug)]
pub struct IndexedGenerator<'m> {
    name: &'m str,
    index: &'m CatalogueIndex,
    answers: Answers<'m>,
    prefix_cache: PrefixCache,
    states: Vec<DecoderState>,
}

impl<'m> IndexedGenerator<'m> {
    /// A generator that keeps up to `sequences` histories, at least one. The catalogue is that of
    /// the index. With `repeats`, items of the history can be candidates.
    #[must_use]
    pub fn new(
        name: &'m str,
        index: &'m CatalogueIndex,
        catalogue: &'m Catalogue,
        sequences: usize,
        repeats: bool,
    ) -> Self {
        let sequences = sequences.max(1);
        Self {
            name,
            index,
            answers: Answers::new(catalogue, index.max_length).with_repeats(repeats),
            prefix_cache: PrefixCache::new(sequences),
            states: vec![index.decoder.start(); sequences],
        }
    }

    fn answer(&mut self, query: &Query<'_>, explain: bool) -> Result<Generation, GeneratorError> {
        let read = self.answers.readable(query);
        if let Some(answer) = self.answers.without_model(query, &read)? {
            return Ok(answer);
        }
        let start = Instant::now();
        let newest = &read[read.len().saturating_sub(self.answers.max_length())..];
        let cached = self.prefix_cache.assign(&[newest]).first().copied();
        let (sequence, cached) = cached.map_or((0, 0), |slot| (slot.sequence, slot.cached));
        let state = &mut self.states[sequence];
        state.truncate(cached);
        let mut rows = Vec::with_capacity((newest.len() - cached) * self.index.decoder.dims());
        for item in &newest[cached..] {
            self.index.rows.append_input(*item, &mut rows);
        }
        let hidden = self.index.decoder.read(state, &rows);
        let prompt_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let found = self.index.find(hidden, (query, &read), self.answers.repeats(), explain)?;
        Ok(Generation {
            candidates: found.candidates,
            explanations: found.explanations,
            prompt_ms,
            evaluate_ms: prompt_ms,
            decode_ms: start.elapsed().as_secs_f64() * 1e3,
            prompt_tokens: newest.len() - cached,
            cached_tokens: cached,
            ..self.answers.empty(&read)
        })
    }
}

impl Generator for IndexedGenerator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.answer(query, false)
    }

    fn explain(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.answer(query, true)
    }
}
