use std::collections::HashMap;

use tandem_dataset::ItemIndex;
use tandem_model::search::Search;
use tandem_protocol::ScoreExplanation;

use super::{
    CatalogueIndex, IndexCell,
    joined::{Part, PartKind},
};
use crate::{
    AddedItems, GeneratorError, Query, Ranked,
    added_items::AddedText,
    item_tokens::scored,
    products::dot,
    ranking_signals::{COUNTS_OF_NEIGHBOURS, ROUNDING, RankingSignals},
};

/// Least number of the best found rows that are scored exactly.
const SCORED: usize = 512;

/// The candidates of a query.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidates: Vec<Ranked>,
    pub(super) explanations: Vec<ScoreExplanation>,
}

/// A visitor's vector for one part of the score.
struct Term<'i> {
    part: &'i Part,
    vector: Vec<f32>,
    /// Factor of the dot product in the score.
    factor: f32,
    /// Mean of the dot products over the catalogue.
    mean: f32,
}

/// Counts of a history.
#[derive(Default)]
struct CountTerm {
    counts: HashMap<ItemIndex, f32>,
    factor: f32,
    mean: f32,
}

/// The score of any item for one visitor.
struct Scores<'i> {
    index: &'i CatalogueIndex,
    terms: Vec<Term<'i>>,
    counts: CountTerm,
    row: Vec<f32>,
}

impl CatalogueIndex {
    /// The candidates of a query after the hidden state `hidden` `[dims]`, with explanations if
    /// `explain`. `read` is the history as the models read it.
    pub(super) fn find(
        &self,
        hidden: Vec<f32>,
        (query, read): (&Query<'_>, &[ItemIndex]),
        repeats: bool,
        explain: bool,
    ) -> Result<Found, GeneratorError> {
        if hidden.iter().any(|value| !value.is_finite()) {
            return Err(GeneratorError::NotFinite);
        }
        let mut scores = self.scores(hidden, query, read);
        let allowed = Allowed::new(query, repeats);
        let limit = self.items();
        let known = allowed.known(limit);
        // Every allowed item, if the filter leaves few of them.
        let all = query.only.is_some() && known <= (self.options.visited / 4) as u64;
        let mut best: HashMap<ItemIndex, f32> = HashMap::new();
        if let Some(only) = query.only.filter(|_| all) {
            let items = only.iter().take_while(|item| (*item as usize) < limit).map(ItemIndex);
            best.extend(items.filter(|item| allowed.contains(*item)).map(|it| (it, scores.of(it))));
        } else {
            let found = self.visit(&scores.joined(), &allowed, query.k)?;
            let counted = scores.counts.counts.keys().copied();
            let counted = counted.filter(|item| item.position() < limit && allowed.contains(*item));
            let items: Vec<ItemIndex> = found.into_iter().chain(counted).collect();
            best.extend(items.into_iter().map(|item| (item, scores.of(item))));
        }
        let mut ranked: Vec<(ItemIndex, f32)> =
            best.iter().map(|(at, score)| (*at, *score)).collect();
        if let Some(added) = scored(query) {
            for (position, text) in added.with_text() {
                if allowed.contains(position) {
                    ranked.push((position, scores.of_added(position, text)));
                }
            }
        }
        if ranked.iter().any(|(_, score)| !score.is_finite()) {
            return Err(GeneratorError::NotFinite);
        }
        let rest = if all { 0.0 } else { known as f64 - best.len() as f64 };
        let log_sum = self.log_sum(&scores, &ranked, &best, (&allowed, rest));
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(query.k);
        let added = scored(query);
        let explanations = ranked.iter().filter(|_| explain);
        let explanations = explanations.map(|(item, _)| scores.explanation(*item, added)).collect();
        let candidate = |(item, score): (ItemIndex, f32)| Ranked {
            item,
            logprob: (f64::from(score) - log_sum).min(0.0) as f32,
        };
        Ok(Found { candidates: ranked.into_iter().map(candidate).collect(), explanations })
    }

    /// The items of the best rows in the cells that are visited.
    fn visit(
        &self,
        joined: &[f32],
        allowed: &Allowed<'_>,
        k: usize,
    ) -> Result<Vec<ItemIndex>, GeneratorError> {
        let wanted = SCORED.max(4 * k);
        let mut order: Vec<(f32, &IndexCell)> =
            self.cells.iter().map(|cell| (dot(joined, &cell.centroid), cell)).collect();
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        // With a filter, as many more rows as it leaves out.
        let share = allowed.known(self.items()) as f64 / self.items() as f64;
        let mut left = self.options.visited as f64 / share.max(1e-9);
        let to_error = |_| GeneratorError::NotFinite;
        let mut search = Search::new(joined, wanted).map_err(to_error)?;
        let mut visited = Vec::new();
        let mut rest = order.into_iter().map(|(_, cell)| cell);
        for cell in rest.by_ref() {
            let may = |at: usize| allowed.contains(ItemIndex(cell.items[at]));
            search.scan(&cell.table, may).map_err(to_error)?;
            visited.push(cell);
            left -= cell.items.len() as f64;
            if left <= 0.0 {
                break;
            }
        }
        let item = |cells: &[&IndexCell], hit: &tandem_model::search::Hit| {
            ItemIndex(cells[hit.table].items[hit.position])
        };
        let mut found: Vec<ItemIndex> =
            search.finish().iter().map(|hit| item(&visited, hit)).collect();
        // A list is never shorter than it can be.
        for cell in rest {
            if found.len() >= k {
                break;
            }
            let items = cell.items.iter().copied().map(ItemIndex);
            found.extend(items.filter(|item| allowed.contains(*item)));
        }
        Ok(found)
    }

    /// The logarithm of the sum of `exp(score)` over all items that remain: `ranked`, and about
    /// `rest` others of the catalogue, which are estimated from the sampled ones that are not in
    /// `best`.
    fn log_sum(
        &self,
        scores: &Scores<'_>,
        ranked: &[(ItemIndex, f32)],
        best: &HashMap<ItemIndex, f32>,
        (allowed, rest): (&Allowed<'_>, f64),
    ) -> f64 {
        let mut others = Vec::new();
        if rest > 0.0 {
            let joined = scores.joined();
            let rows = self.sample.items.iter().zip(self.sample.rows.chunks_exact(joined.len()));
            for (item, row) in rows {
                let item = ItemIndex(*item);
                if !best.contains_key(&item) && allowed.contains(item) {
                    others.push(dot(row, &joined));
                }
            }
        }
        let largest = ranked.iter().map(|(_, score)| *score).chain(others.iter().copied());
        let largest = f64::from(largest.fold(f32::NEG_INFINITY, f32::max));
        let sum = |values: &mut dyn Iterator<Item = f32>| -> f64 {
            values.map(|score| (f64::from(score) - largest).exp()).sum()
        };
        let found = sum(&mut ranked.iter().map(|(_, score)| *score));
        let each = rest.max(0.0) / others.len().max(1) as f64;
        largest + (found + each * sum(&mut others.iter().copied())).ln()
    }

    /// Prepares the score of a visitor.
    fn scores(&self, hidden: Vec<f32>, query: &Query<'_>, read: &[ItemIndex]) -> Scores<'_> {
        let signals = self.signals.as_deref();
        let added = scored(query);
        let mut hidden = Some(hidden);
        let mut terms = Vec::new();
        for part in self.rows.parts() {
            let vector = match part.kind {
                PartKind::LanguageModel => hidden.take(),
                PartKind::Text => signals
                    .and_then(RankingSignals::text)
                    .and_then(|text| text.visitor(query.history, added)),
                PartKind::SmallModel => signals
                    .and_then(RankingSignals::small_model)
                    .and_then(|small_model| small_model.visitor(read)),
            };
            let Some(vector) = vector else { continue };
            let mean = dot(&vector, &part.mean);
            let factor = match signals {
                None => 1.0,
                Some(signals) => {
                    let deviation = part.deviation(&vector);
                    let weight = signals.weights().temperature * part.weight;
                    if deviation > ROUNDING * mean.abs() { weight / deviation } else { 0.0 }
                }
            };
            if factor > 0.0 {
                terms.push(Term { part, vector, factor, mean });
            }
        }
        let counts = signals.map(|signals| self.count_term(signals, query)).unwrap_or_default();
        Scores { index: self, terms, counts, row: Vec::new() }
    }

    fn count_term(&self, signals: &RankingSignals, query: &Query<'_>) -> CountTerm {
        let weights = signals.weights();
        let Some(table) = signals.counts().filter(|_| weights.counts > 0.0) else {
            return CountTerm::default();
        };
        let mut counts: HashMap<ItemIndex, f32> = HashMap::new();
        let added = scored(query);
        let positions = added.map_or(self.items(), AddedItems::positions);
        table.for_each_score(query.history, |item, score| {
            if item.position() < positions {
                *counts.entry(item).or_default() += score;
            }
        });
        drop(table);
        if let Some(added) = added {
            let of_neighbours: Vec<(ItemIndex, f32)> = added
                .with_text()
                .map(|(position, text)| (position, COUNTS_OF_NEIGHBOURS * mean_of(text, &counts)))
                .filter(|(_, score)| *score != 0.0)
                .collect();
            for (position, score) in of_neighbours {
                *counts.entry(position).or_default() += score;
            }
        }
        // Items without counts have the count 0.
        let moments = |items: usize| {
            let within = counts.iter().filter(|(item, _)| item.position() < items);
            let (mut sum, mut squares) = (0.0_f64, 0.0_f64);
            for value in within.map(|(_, count)| f64::from(*count)) {
                sum += value;
                squares += value * value;
            }
            let mean = sum / items.max(1) as f64;
            let variance = (squares / items.max(1) as f64 - mean * mean).max(0.0);
            (mean as f32, variance.sqrt() as f32)
        };
        let (mean, mut deviation) = moments(self.items());
        if deviation <= 0.0 {
            // Only added items were counted.
            deviation = moments(positions).1;
        }
        let factor =
            if deviation > 0.0 { weights.temperature * weights.counts / deviation } else { 0.0 };
        CountTerm { counts, factor, mean }
    }
}

/// The weighted mean of the counts of an added item's neighbours.
fn mean_of(text: &AddedText, counts: &HashMap<ItemIndex, f32>) -> f32 {
    let counted = |item: &ItemIndex| counts.get(item).copied().unwrap_or_default();
    text.neighbours().iter().map(|(item, weight)| weight * counted(item)).sum()
}

impl Scores<'_> {
    /// The vector whose dot product with a joined row is the score without counts.
    fn joined(&self) -> Vec<f32> {
        let mut joined = Vec::with_capacity(self.index.rows.width());
        for part in self.index.rows.parts() {
            match self.terms.iter().find(|term| term.part.kind == part.kind) {
                Some(term) => {
                    let factor = term.factor / part.scale;
                    joined.extend(term.vector.iter().map(|value| factor * value));
                }
                None => joined.resize(joined.len() + part.width, 0.0),
            }
        }
        joined
    }

    /// The dot products of one item, in the order of the terms.
    fn products(&mut self, item: ItemIndex) -> Vec<f32> {
        let Self { index, terms, row, .. } = self;
        let product = |term: &Term<'_>| {
            row.clear();
            index.rows.append(term.part.kind, item.position(), row);
            dot(&term.vector, row)
        };
        terms.iter().map(product).collect()
    }

    /// The score of an item of the catalogue.
    fn of(&mut self, item: ItemIndex) -> f32 {
        let products = self.products(item);
        let sum: f32 =
            self.terms.iter().zip(products).map(|(term, product)| term.factor * product).sum();
        sum + self.counts.factor * self.count(item)
    }

    fn count(&self, item: ItemIndex) -> f32 {
        self.counts.counts.get(&item).copied().unwrap_or_default()
    }

    /// The dot products that are probable for an added item, in the order of the terms.
    fn products_of_added(&mut self, text: &AddedText) -> Vec<f32> {
        let mut means = vec![0.0; self.terms.len()];
        for (item, weight) in text.neighbours() {
            let products = self.products(*item);
            means.iter_mut().zip(products).for_each(|(mean, product)| *mean += weight * product);
        }
        let product = |(term, mean): (&Term<'_>, f32)| match term.part.kind {
            PartKind::Text => dot(text.row(), &term.vector),
            PartKind::LanguageModel | PartKind::SmallModel => {
                term.mean + text.spread() * (mean - term.mean)
            }
        };
        self.terms.iter().zip(means).map(product).collect()
    }

    fn of_added(&mut self, position: ItemIndex, text: &AddedText) -> f32 {
        let products = self.products_of_added(text);
        let sum: f32 =
            self.terms.iter().zip(products).map(|(term, product)| term.factor * product).sum();
        sum + self.counts.factor * self.count(position)
    }

    fn explanation(&mut self, item: ItemIndex, added: Option<&AddedItems>) -> ScoreExplanation {
        let products = match added.and_then(|added| added.text(item)) {
            Some(text) => self.products_of_added(text),
            None => self.products(item),
        };
        let mut explanation = ScoreExplanation::default();
        for (term, product) in self.terms.iter().zip(products) {
            let part = term.factor * (product - term.mean);
            explanation.score += part;
            *match term.part.kind {
                PartKind::LanguageModel => &mut explanation.language_model,
                PartKind::Text => &mut explanation.text,
                PartKind::SmallModel => &mut explanation.small_model,
            } = Some(part);
        }
        if self.counts.factor > 0.0 {
            let part = self.counts.factor * (self.count(item) - self.counts.mean);
            explanation.score += part;
            explanation.counts = Some(part);
        }
        explanation
    }
}

/// The items that may become candidates.
struct Allowed<'q> {
    query: &'q Query<'q>,
    /// Items of history and exclusions that must not, in ascending order.
    removed: Vec<ItemIndex>,
}

impl<'q> Allowed<'q> {
    fn new(query: &'q Query<'q>, repeats: bool) -> Self {
        let history: &[ItemIndex] = if repeats { &[] } else { query.history };
        let mut removed: Vec<ItemIndex> = history.iter().chain(query.exclude).copied().collect();
        removed.sort_unstable();
        removed.dedup();
        Self { query, removed }
    }

    fn contains(&self, item: ItemIndex) -> bool {
        self.query.only.is_none_or(|only| only.contains(item.0))
            && self.removed.binary_search(&item).is_err()
    }

    /// Number of allowed items of a catalogue of `items`.
    fn known(&self, items: usize) -> u64 {
        let within = |item: &&ItemIndex| item.position() < items;
        let removed = self.removed.iter().filter(within);
        match self.query.only {
            None => (items - removed.count()) as u64,
            Some(only) => {
                let allowed = only.range_cardinality(0..items as u32);
                allowed - removed.filter(|item| only.contains(item.0)).count() as u64
            }
        }
    }
}
