use std::sync::Arc;

use tandem_dataset::ItemIndex;

use super::stored_rows::StoredRows;
use crate::{products::dot, ranking_signals::RankingSignals};

/// Number of rows from which mean and covariance are computed; all rows if there are fewer.
const MOMENT_ROWS: usize = 131_072;

/// A part of the score that is a dot product of a visitor's vector and an item's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    LanguageModel,
    Text,
    SmallModel,
}

/// A part and what is known about its rows.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    /// Weight of the standardised part; 1 without ranking signals.
    pub(super) weight: f32,
    /// Factor of its rows in the joined rows: distances then count as much as the weight.
    pub(super) scale: f32,
    /// Numbers of a row.
    pub(super) width: usize,
    /// Mean row, `[width]`.
    pub(super) mean: Vec<f32>,
    /// Covariance of the rows, `[width, width]`.
    covariance: Vec<f32>,
}

impl Part {
    /// The standard deviation of the dot products of `vector` and all rows.
    pub(super) fn deviation(&self, vector: &[f32]) -> f32 {
        let rows = self.covariance.chunks_exact(self.width);
        let variance: f32 = rows.zip(vector).map(|(row, value)| value * dot(row, vector)).sum();
        variance.max(0.0).sqrt()
    }
}

/// The rows of all parts of the catalogue's items.
#[derive(Debug)]
pub(super) struct JoinedRows {
    items: usize,
    /// Rows that the decoder reads.
    input: StoredRows,
    /// Rows that are multiplied with the hidden state, if they are not those of the input.
    output: Option<StoredRows>,
    signals: Option<Arc<RankingSignals>>,
    parts: Vec<Part>,
}

impl JoinedRows {
    pub(super) fn new(
        items: usize,
        dims: usize,
        (input, output): (StoredRows, Option<StoredRows>),
        signals: Option<Arc<RankingSignals>>,
    ) -> Self {
        let mut joined = Self { items, input, output, signals, parts: Vec::new() };
        let mut kinds = vec![(PartKind::LanguageModel, 1.0, dims)];
        if let Some(signals) = joined.signals.clone() {
            let weights = signals.weights();
            kinds[0].1 = weights.language_model;
            let text = signals.text().map(|text| (PartKind::Text, weights.text, text.width()));
            let small = signals.small_model();
            let small =
                small.map(|small| (PartKind::SmallModel, weights.small_model, small.width()));
            kinds.extend(text.into_iter().chain(small));
        }
        // The language model stays even without a weight: a row needs at least one number.
        let is_used = |(kind, weight, width): &(PartKind, f32, usize)| {
            *width > 0 && (*weight > 0.0 || *kind == PartKind::LanguageModel)
        };
        let used = kinds.into_iter().filter(is_used);
        let parts = used.map(|(kind, weight, width)| joined.part(kind, weight, width)).collect();
        joined.parts = parts;
        joined
    }

    pub(super) fn items(&self) -> usize {
        self.items
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Numbers of a joined row.
    pub(super) fn width(&self) -> usize {
        self.parts.iter().map(|part| part.width).sum()
    }

    /// Appends the row that the decoder reads.
    pub(super) fn append_input(&self, item: ItemIndex, out: &mut Vec<f32>) {
        self.input.append(item.position(), out);
    }

    /// Appends the row of a part.
    pub(super) fn append(&self, kind: PartKind, item: usize, out: &mut Vec<f32>) {
        let signals = self.signals.as_deref();
        match kind {
            PartKind::LanguageModel => {
                self.output.as_ref().unwrap_or(&self.input).append(item, out);
            }
            PartKind::Text => {
                let table = signals.and_then(RankingSignals::text);
                out.extend_from_slice(table.map_or(&[], |table| table.known_row(item)));
            }
            PartKind::SmallModel => {
                let table = signals.and_then(RankingSignals::small_model);
                out.extend_from_slice(table.map_or(&[], |table| table.row(item)));
            }
        }
    }

    /// Appends the joined row, whose dot product with the joined vector of a visitor is the score
    /// without counts.
    pub(super) fn append_joined(&self, item: usize, out: &mut Vec<f32>) {
        for part in &self.parts {
            let start = out.len();
            self.append(part.kind, item, out);
            for value in &mut out[start..] {
                *value *= part.scale;
            }
        }
    }

    /// `rows` items that are spread evenly over the catalogue; all if there are fewer.
    pub(super) fn spread_evenly(&self, rows: usize) -> impl Iterator<Item = usize> + use<> {
        let (items, rows) = (self.items, rows.clamp(1, self.items.max(1)));
        (0..rows.min(items)).map(move |at| at * items / rows)
    }

    fn part(&self, kind: PartKind, weight: f32, width: usize) -> Part {
        let mut sum = vec![0.0_f64; width];
        let mut products = vec![0.0_f64; width * width];
        let mut block_products = vec![0.0_f32; width * width];
        let mut row = Vec::with_capacity(width);
        let mut count = 0_usize;
        for item in self.spread_evenly(MOMENT_ROWS) {
            row.clear();
            self.append(kind, item, &mut row);
            sum.iter_mut().zip(&row).for_each(|(sum, value)| *sum += f64::from(*value));
            for (products, value) in block_products.chunks_exact_mut(width).zip(&row) {
                products.iter_mut().zip(&row).for_each(|(sum, other)| *sum += value * other);
            }
            count += 1;
            // Single precision within a block, double precision beyond.
            if count.is_multiple_of(512) {
                drain(&mut block_products, &mut products);
            }
        }
        drain(&mut block_products, &mut products);
        let number = count.max(1) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / number).collect();
        let covariance: Vec<f32> = products
            .iter()
            .enumerate()
            .map(|(at, sum)| (sum / number - mean[at / width] * mean[at % width]) as f32)
            .collect();
        let trace: f32 = (0..width).map(|at| covariance[at * width + at].max(0.0)).sum();
        let typical = (trace / width as f32).sqrt();
        let scale = if typical > 0.0 { weight / typical } else { 1.0 };
        let mean = mean.into_iter().map(|value| value as f32).collect();
        Part { kind, weight, scale, width, mean, covariance }
    }
}

fn drain(block: &mut [f32], sums: &mut [f64]) {
    for (sum, value) in sums.iter_mut().zip(block) {
        *sum += f64::from(*value);
        *value = 0.0;
    }
}
