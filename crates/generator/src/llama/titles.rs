use std::{path::Path, time::Instant};

use llama_cpp_2::{model::LlamaModel, token::LlamaToken, vocab::LlamaVocab};
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_protocol::Ranking;

use super::{context::Evaluator, model::LoadOptions};
use crate::{
    Generation, Generator, GeneratorError, Query,
    experts::{Baseline, Experts},
    gguf::Metadata,
    popularity::most_popular,
    search::{Found, Limits, Search},
    titles::{Prompt, label, prompt},
    trie::{MAX_TITLE_TOKENS, Mask, NodeId, Token, Trie},
};

/// Tokens that each made-up history's pass may evaluate: the whole tree of a few thousand
/// titles; of larger ones the part that popularity makes probable.
const BASELINE_TOKENS: usize = 2048;
/// Items of each made-up history that the baseline is measured with.
const BASELINE_LENGTH: usize = 8;

/// The catalogue as a model of text reads it; shared by generators.
#[derive(Debug)]
pub(crate) struct Titles {
    trie: Trie,
    head: Vec<Token>,
    opener: Vec<Token>,
    prompt_budget: usize,
    baseline: Option<Baseline>,
}

impl Titles {
    pub(crate) fn new(
        path: &Path,
        metadata: &Metadata,
        model: &LlamaModel,
        catalogue: &Catalogue,
        options: &LoadOptions,
    ) -> Result<Self, GeneratorError> {
        let vocab = model.vocab();
        let unsupported = |expected: &str, found: String| GeneratorError::Unsupported {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        // SentencePiece may put a blank before every text; elsewhere words inside a line
        // begin with one.
        let implicit_blank = metadata.text("tokenizer.ggml.model") == Some("llama")
            && metadata.values.get("tokenizer.ggml.add_space_prefix")
                != Some(&crate::gguf::Value::Bool(false));
        let blank = if options.opener.is_empty() || implicit_blank { "" } else { " " };
        let Some(&end) = tokens(&vocab, "\n", false).last() else {
            return Err(unsupported("a vocabulary that has a line feed", "none".to_owned()));
        };
        let titles: Vec<Vec<Token>> = catalogue
            .items()
            .iter()
            .map(|item| tokens(&vocab, &format!("{blank}{}", label(item, options.years)), false))
            .collect();
        let counts: Vec<u32> = catalogue.items().iter().map(|item| item.count).collect();
        let mut head = tokens(&vocab, &options.preamble, true);
        let opener = tokens(&vocab, &options.opener, false);
        if head.is_empty() && opener.is_empty() {
            head.push(end);
        }
        // Positions beyond those the model was trained for give nonsense.
        let trained = model.n_ctx_train() as usize;
        let prompt_budget = options.prompt_tokens.min(trained.saturating_sub(MAX_TITLE_TOKENS));
        let least = head.len() + 2 * opener.len() + MAX_TITLE_TOKENS;
        if prompt_budget < least {
            return Err(unsupported(
                &format!("room for a prompt of at least {least} tokens"),
                format!("{prompt_budget} (context of {trained}, {} wanted)", options.prompt_tokens),
            ));
        }
        Ok(Self {
            trie: Trie::new(&titles, &counts, end),
            head,
            opener,
            prompt_budget,
            baseline: None,
        })
    }

    /// Longest prompt, in tokens.
    pub(crate) fn prompt_budget(&self) -> usize {
        self.prompt_budget
    }

    pub(crate) fn set_baseline(&mut self, baseline: Baseline) {
        self.baseline = Some(baseline);
    }
}

/// Generates under the titles' trie. See [`experts`](crate::experts) for what the numbers
/// are and [`search`](crate::search) for how they are found.
#[derive(Debug)]
pub struct TitleGenerator<'m> {
    name: &'m str,
    titles: &'m Titles,
    evaluator: Evaluator<'m>,
    limits: Limits,
    experts: Experts,
}

impl<'m> TitleGenerator<'m> {
    pub(crate) fn new(
        name: &'m str,
        titles: &'m Titles,
        evaluator: Evaluator<'m>,
        limits: Limits,
        experts: Experts,
    ) -> Self {
        Self { name, titles, evaluator, limits, experts }
    }

    /// Another budget than [`LoadOptions::decode_tokens`], to measure what it is worth:
    /// `usize::MAX` gives the exact best of the distribution.
    pub fn set_budget(&mut self, tokens: usize) {
        self.limits.tokens = tokens;
    }

    /// The catalogue's tree.
    #[must_use]
    pub fn trie(&self) -> &'m Trie {
        &self.titles.trie
    }

    /// The prompt that a history becomes.
    ///
    /// # Errors
    /// If an item is not in the catalogue.
    pub fn prompt(&self, history: &[ItemIndex]) -> Result<Prompt, GeneratorError> {
        self.check(history)?;
        let Titles { trie, head, opener, prompt_budget, .. } = self.titles;
        Ok(prompt((head, opener), trie, history, *prompt_budget))
    }

    /// Evaluates the branchings of the tree for a history, the most probable first, until
    /// `tokens` are spent, and shows `observe` the logits after each; without mask and
    /// baseline. Returns what that took.
    ///
    /// # Errors
    /// If an item is not in the catalogue or the model fails.
    pub fn observe(
        &mut self,
        history: &[ItemIndex],
        tokens: usize,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<Found, GeneratorError> {
        self.read(history)?;
        let search = Search {
            trie: &self.titles.trie,
            experts: &self.experts,
            baseline: None,
            limits: Limits { tokens, ..self.limits },
        };
        search.run(&Mask::default(), self.titles.trie.items(), &mut self.evaluator, observe)
    }

    /// Tokens per second of llama.cpp alone in this context: `rounds` batches of `width`
    /// tokens after the head of a prompt. To compare a search's rate with.
    ///
    /// # Errors
    /// If the model fails.
    pub fn raw_decode_rate(&mut self, width: usize, rounds: usize) -> Result<f64, GeneratorError> {
        let head = &self.titles.head;
        self.evaluator.read(if head.is_empty() { &self.titles.opener } else { head })?;
        self.evaluator.raw_rate(width, rounds)
    }

    /// What the model says of each branch on average over made-up histories: popular items
    /// dealt out in turn, so that it depends on the catalogue alone.
    pub(crate) fn measure_baseline(
        &mut self,
        histories: usize,
    ) -> Result<Baseline, GeneratorError> {
        let trie = &self.titles.trie;
        let mut baseline = Baseline::new(trie);
        let popular = most_popular(trie, &Mask::default(), histories * BASELINE_LENGTH);
        for first in 0..histories.min(popular.len()) {
            let history: Vec<ItemIndex> =
                popular.iter().skip(first).step_by(histories).map(|ranked| ranked.item).collect();
            self.observe(&history, BASELINE_TOKENS, &mut |node, logits| {
                baseline.add(trie, node, logits);
            })?;
        }
        Ok(baseline)
    }

    fn check(&self, items: &[ItemIndex]) -> Result<(), GeneratorError> {
        let len = self.titles.trie.items();
        match items.iter().find(|item| item.position() >= len) {
            Some(item) => Err(GeneratorError::UnknownItem { index: item.0, items: len }),
            None => Ok(()),
        }
    }

    /// Reads the prompt; returns tokens evaluated and items not read.
    fn read(&mut self, history: &[ItemIndex]) -> Result<(usize, usize), GeneratorError> {
        let prompt = self.prompt(history)?;
        Ok((self.evaluator.read(&prompt.tokens)?, prompt.truncated))
    }
}

impl Generator for TitleGenerator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.check(query.history)?;
        self.check(query.exclude)?;
        let trie = &self.titles.trie;
        let mask = trie.mask(query.history.iter().chain(query.exclude).copied());
        let mut generation = Generation {
            candidates: Vec::new(),
            ranking: Ranking::LanguageModel,
            truncated: 0,
            prompt_ms: 0.0,
            decode_ms: 0.0,
            prompt_tokens: 0,
            decoded_tokens: 0,
        };
        if query.history.is_empty() {
            generation.ranking = Ranking::Popularity;
            generation.candidates = most_popular(trie, &mask, query.k);
            return Ok(generation);
        }
        if query.k == 0 || trie.remaining(NodeId::ROOT, &mask) == 0 {
            return Ok(generation);
        }
        let start = Instant::now();
        (generation.prompt_tokens, generation.truncated) = self.read(query.history)?;
        generation.prompt_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let search = Search {
            trie,
            experts: &self.experts,
            baseline: self.titles.baseline.as_ref(),
            limits: self.limits,
        };
        let found = search.run(&mask, query.k, &mut self.evaluator, &mut |_, _| {})?;
        generation.decode_ms = start.elapsed().as_secs_f64() * 1e3;
        generation.decoded_tokens = found.tokens;
        generation.candidates = found.candidates;
        tracing::debug!(
            tokens = found.tokens,
            exact = found.exact,
            prompt_ms = generation.prompt_ms,
            decode_ms = generation.decode_ms,
            "candidates generated"
        );
        Ok(generation)
    }
}

/// Text to tokens. Special tokens written out in a title are text like any other.
pub(super) fn tokens(vocab: &LlamaVocab<'_>, text: &str, begin: bool) -> Vec<Token> {
    if text.is_empty() && !begin {
        return Vec::new();
    }
    vocab
        .tokenize(text.as_bytes(), begin, begin)
        .into_iter()
        .map(|LlamaToken(token)| token.cast_unsigned())
        .collect()
}
