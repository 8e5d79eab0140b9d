mod added;
mod companion;

use std::{path::Path, sync::Arc, time::Instant};

use llama_cpp_2::{model::LlamaModel, token::LlamaToken, vocab::LlamaVocab};
use tandem_dataset::{Catalogue, Item, ItemIndex};
use tandem_protocol::Ranking;

use self::{added::AddedTitles, companion::Companion};
use super::{context::Evaluator, options::LoadOptions};
use crate::{
    AddedItems, Generation, Generator, GeneratorError, Query,
    branch_scores::{ExpertWeights, UnconditionalScores},
    gguf::Metadata,
    popularity::{log_counts, most_popular},
    ranking_signals::RankingSignals,
    search::{Search, SearchLimits, SearchResult},
    titles::{Prompt, build_prompt, label},
    trie::{MAX_TITLE_TOKENS, Mask, NodeId, Token, Trie},
};

/// Maximum number of tokens evaluated for each synthetic history. This covers the whole trie
/// of a few thousand titles; in larger tries it covers the most popular part.
const UNCONDITIONAL_TOKENS: usize = 2048;
/// Number of items in each synthetic history.
const SYNTHETIC_HISTORY_LENGTH: usize = 8;

/// The tokenised catalogue and prompt parts; shared by all generators of a model.
#[derive(Debug)]
pub(crate) struct TitleEngine {
    trie: Trie,
    /// The end marker of titles.
    end: Token,
    /// What precedes a title as text.
    space: &'static str,
    include_years: bool,
    preamble: Vec<Token>,
    item_prefix: Vec<Token>,
    prompt_budget: usize,
    /// `ln(count + 1)` of each item.
    popularity: Vec<f32>,
    unconditional: Option<UnconditionalScores>,
}

impl TitleEngine {
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
        // SentencePiece may add a space before every text. With other tokenizers, a word
        // inside a line starts with a space.
        let implicit_space = metadata.text("tokenizer.ggml.model") == Some("llama")
            && metadata.values.get("tokenizer.ggml.add_space_prefix")
                != Some(&crate::gguf::Value::Bool(false));
        let space = if options.item_prefix.is_empty() || implicit_space { "" } else { " " };
        let Some(&end) = tokenize(&vocab, "\n", false).last() else {
            return Err(unsupported("a vocabulary with a line feed", "none".to_owned()));
        };
        let tokens = |item| title_tokens(&vocab, space, item, options.include_years);
        let titles: Vec<Vec<Token>> = catalogue.items().iter().map(tokens).collect();
        let counts: Vec<u32> = catalogue.items().iter().map(|item| item.count).collect();
        let mut preamble = tokenize(&vocab, &options.preamble, true);
        let item_prefix = tokenize(&vocab, &options.item_prefix, false);
        if preamble.is_empty() && item_prefix.is_empty() {
            preamble.push(end);
        }
        // Beyond the trained context length the model's output is meaningless.
        let trained = model.n_ctx_train() as usize;
        let prompt_budget = options.prompt_tokens.min(trained.saturating_sub(MAX_TITLE_TOKENS));
        let least = preamble.len() + 2 * item_prefix.len() + MAX_TITLE_TOKENS;
        if prompt_budget < least {
            return Err(unsupported(
                &format!("a prompt budget of at least {least} tokens"),
                format!(
                    "{prompt_budget} (context length {trained}, prompt_tokens {})",
                    options.prompt_tokens
                ),
            ));
        }
        Ok(Self {
            trie: Trie::new(&titles, &counts, end),
            end,
            space,
            include_years: options.include_years,
            preamble,
            item_prefix,
            prompt_budget,
            popularity: log_counts(catalogue),
            unconditional: None,
        })
    }

    /// Maximum prompt length in tokens.
    pub(crate) fn prompt_budget(&self) -> usize {
        self.prompt_budget
    }

    /// The trie of the catalogue's titles.
    pub(super) fn trie(&self) -> &Trie {
        &self.trie
    }

    /// The end marker of titles.
    pub(super) fn end(&self) -> Token {
        self.end
    }

    pub(super) fn unconditional(&self) -> Option<&UnconditionalScores> {
        self.unconditional.as_ref()
    }

    /// The tokens of an item's title, without end marker.
    pub(super) fn tokens(&self, model: &LlamaModel, item: &Item) -> Vec<Token> {
        title_tokens(&model.vocab(), self.space, item, self.include_years)
    }

    pub(crate) fn set_unconditional_scores(&mut self, unconditional: UnconditionalScores) {
        self.unconditional = Some(unconditional);
    }
}

/// The generator of the title engine: a search over the trie of titles. The distribution is
/// that of [`branch_scores`](crate::branch_scores); the algorithm is in
/// [`search`](crate::search).
#[derive(Debug)]
pub struct TitleGenerator<'m> {
    name: &'m str,
    titles: &'m TitleEngine,
    added: AddedTitles<'m>,
    evaluator: Evaluator<'m>,
    limits: SearchLimits,
    weights: ExpertWeights,
    repeats: bool,
    signals: Option<Arc<RankingSignals>>,
    companion: Companion,
}

impl<'m> TitleGenerator<'m> {
    pub(crate) fn new(
        name: &'m str,
        (model, titles): (&'m LlamaModel, &'m TitleEngine),
        evaluator: Evaluator<'m>,
        limits: SearchLimits,
        weights: ExpertWeights,
    ) -> Self {
        let added = AddedTitles::new(model, titles);
        Self {
            name,
            titles,
            added,
            evaluator,
            limits,
            weights,
            repeats: false,
            signals: None,
            companion: Companion::default(),
        }
    }

    /// Whether items of the history can be candidates.
    pub(crate) fn with_repeats(mut self, repeats: bool) -> Self {
        self.repeats = repeats;
        self
    }

    /// Ranks by signals as well as by popularity.
    pub(crate) fn with_signals(mut self, signals: Option<Arc<RankingSignals>>) -> Self {
        self.signals = signals;
        self
    }

    /// Overrides [`LoadOptions::decode_tokens`], for measurements. `usize::MAX` gives the
    /// exact top `k` of the distribution.
    pub fn set_token_budget(&mut self, tokens: usize) {
        self.limits.token_budget = tokens;
    }

    /// The trie of the catalogue's titles.
    #[must_use]
    pub fn trie(&self) -> &'m Trie {
        &self.titles.trie
    }

    /// The prompt for a history.
    ///
    /// # Errors
    /// [`GeneratorError::UnknownItem`] if an item is not in the catalogue.
    pub fn prompt(&self, history: &[ItemIndex]) -> Result<Prompt, GeneratorError> {
        check_items(history, self.titles.trie.items())?;
        Ok(self.prompt_of(&self.titles.trie, history))
    }

    /// The prompt for a history of items of `trie`.
    fn prompt_of(&self, trie: &Trie, history: &[ItemIndex]) -> Prompt {
        let TitleEngine { preamble, item_prefix, prompt_budget, .. } = self.titles;
        build_prompt((preamble, item_prefix), trie, history, *prompt_budget)
    }

    /// Evaluates the nodes of the trie for a history, most probable first, until `tokens` are
    /// spent, and passes `observe` the logits after each. Neither mask nor unconditional
    /// scores are applied.
    ///
    /// # Errors
    /// [`GeneratorError::UnknownItem`] if an item is not in the catalogue, or if the model
    /// fails.
    pub fn observe(
        &mut self,
        history: &[ItemIndex],
        tokens: usize,
        observe: &mut dyn FnMut(NodeId, &[f32]),
    ) -> Result<SearchResult, GeneratorError> {
        let prompt = self.prompt(history)?;
        self.read_prompt(&prompt)?;
        let search = Search {
            trie: &self.titles.trie,
            weights: &self.weights,
            prior: None,
            unconditional: None,
            limits: SearchLimits { token_budget: tokens, ..self.limits },
        };
        search.run(&Mask::default(), self.titles.trie.items(), &mut self.evaluator, observe)
    }

    /// Tokens per second of llama.cpp alone in this context, as a reference for the rate of
    /// the search: `rounds` batches of `width` tokens after the preamble.
    ///
    /// # Errors
    /// If the model fails.
    pub fn raw_decode_rate(&mut self, width: usize, rounds: usize) -> Result<f64, GeneratorError> {
        let TitleEngine { preamble, item_prefix, .. } = self.titles;
        self.evaluator.read(if preamble.is_empty() { item_prefix } else { preamble })?;
        self.evaluator.raw_decode_rate(width, rounds)
    }

    /// Estimates the model's scores without a history: the mean over synthetic histories,
    /// which distribute the most popular items round-robin, so that the result depends on the
    /// catalogue alone.
    pub(crate) fn measure_unconditional_scores(
        &mut self,
        histories: usize,
    ) -> Result<UnconditionalScores, GeneratorError> {
        let trie = &self.titles.trie;
        let mut unconditional = UnconditionalScores::new(trie);
        let popular = most_popular(trie, &Mask::default(), histories * SYNTHETIC_HISTORY_LENGTH);
        for first in 0..histories.min(popular.len()) {
            let history: Vec<ItemIndex> =
                popular.iter().skip(first).step_by(histories).map(|ranked| ranked.item).collect();
            self.observe(&history, UNCONDITIONAL_TOKENS, &mut |node, logits| {
                unconditional.add(trie, node, logits);
            })?;
        }
        Ok(unconditional)
    }

    /// Reads a prompt. Returns the number of tokens evaluated, of tokens that were in the cache, and
    /// of items that did not fit.
    fn read_prompt(&mut self, prompt: &Prompt) -> Result<(usize, usize, usize), GeneratorError> {
        let evaluated = self.evaluator.read(&prompt.tokens)?;
        Ok((evaluated, prompt.tokens.len() - evaluated, prompt.truncated))
    }
}

impl Generator for TitleGenerator<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn generate(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.generate_list(query, false)
    }

    fn explain(&mut self, query: &Query<'_>) -> Result<Generation, GeneratorError> {
        self.generate_list(query, true)
    }
}

impl TitleGenerator<'_> {
    /// `explain`: whether the list has explanations, which only signals give.
    fn generate_list(
        &mut self,
        query: &Query<'_>,
        explain: bool,
    ) -> Result<Generation, GeneratorError> {
        let titles = self.titles;
        let positions = query.positions(titles.trie.items());
        check_items(query.history, positions)?;
        check_items(query.exclude, positions)?;
        let extended = self.added.follow(query.added);
        let (trie, unconditional) = match &extended {
            Some(extended) => (&extended.trie, extended.unconditional.as_ref()),
            None => (&titles.trie, titles.unconditional.as_ref()),
        };
        // Items that were added after the query was made, and those without a title.
        let newer = (positions as u32..trie.items() as u32).map(ItemIndex);
        let gone = query.added.into_iter().flat_map(AddedItems::without_item).chain(newer);
        let mask = trie.mask(query.removed(self.repeats, positions).chain(gone));
        let mut generation = Generation::empty(Ranking::LanguageModel, 0);
        if query.history.is_empty() {
            generation.ranking = Ranking::Popularity;
            generation.candidates = most_popular(trie, &mask, query.k);
            return Ok(generation);
        }
        if query.k == 0 || trie.remaining(NodeId::ROOT, &mask) == 0 {
            return Ok(generation);
        }
        self.evaluator.take_evaluating();
        let start = Instant::now();
        (generation.prompt_tokens, generation.cached_tokens, generation.truncated) =
            self.read_prompt(&self.prompt_of(trie, query.history))?;
        generation.prompt_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let prior = self.signals.as_deref().map(|signals| {
            let popularity = &titles.popularity;
            self.companion.prior(signals, popularity, (trie, &mask), query, explain)
        });
        let search = Search {
            trie,
            weights: &self.weights,
            prior: prior.as_ref(),
            unconditional,
            limits: self.limits,
        };
        let result = search.run(&mask, query.k, &mut self.evaluator, &mut |_, _| {})?;
        generation.decode_ms = start.elapsed().as_secs_f64() * 1e3;
        generation.evaluate_ms = self.evaluator.take_evaluating().as_secs_f64() * 1e3;
        generation.decoded_tokens = result.tokens;
        generation.candidates = result.candidates;
        if explain && prior.is_some() {
            let remaining = trie.remaining(NodeId::ROOT, &mask);
            let explained = generation.candidates.iter();
            generation.explanations =
                explained.map(|it| self.companion.explanation(*it, remaining)).collect();
        }
        tracing::debug!(
            tokens = result.tokens,
            exact = result.exact,
            prompt_ms = generation.prompt_ms,
            decode_ms = generation.decode_ms,
            "candidates generated"
        );
        Ok(generation)
    }
}

fn check_items(items: &[ItemIndex], positions: usize) -> Result<(), GeneratorError> {
    match items.iter().find(|item| item.position() >= positions) {
        Some(item) => Err(GeneratorError::UnknownItem { index: item.0, items: positions }),
        None => Ok(()),
    }
}

/// The tokens of an item's title, without end marker.
fn title_tokens(vocab: &LlamaVocab<'_>, space: &str, item: &Item, year: bool) -> Vec<Token> {
    tokenize(vocab, &format!("{space}{}", label(item, year)), false)
}

/// Tokenises text. The names of special tokens inside a title are treated as plain text.
pub(super) fn tokenize(vocab: &LlamaVocab<'_>, text: &str, begin: bool) -> Vec<Token> {
    if text.is_empty() && !begin {
        return Vec::new();
    }
    vocab
        .tokenize(text.as_bytes(), begin, begin)
        .into_iter()
        .map(|LlamaToken(token)| token.cast_unsigned())
        .collect()
}
