//! Items that are similar to another one, by everything that a release knows of them.

use serde::{Deserialize, Serialize};
use tandem_dataset::ItemIndex;
use tandem_generator::{AddedItems, added_items::AddedText, ranking_signals::standard_deviation};

use crate::{artifacts::Release, recommender::Recommender};

/// What items are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Comparison {
    /// Cosine of the text vectors.
    Text,
    /// How often both were chosen by the same visitors.
    Counts,
    /// Cosine of the rows of the small model.
    SmallModel,
}

/// How similar items are to one.
#[derive(Debug)]
pub(crate) struct Similarities {
    /// What the scores are made of: the comparisons that the release has and that tell items apart.
    pub(crate) by: Vec<Comparison>,
    /// By the position of the item.
    pub(crate) scores: Vec<f32>,
    /// The part of the counts before it is divided by its standard deviation; empty if they were
    /// not compared.
    pub(crate) counted: Vec<f32>,
}

/// The similarity of items to `item`, by their positions: those of the catalogue and, after them,
/// `added` ones. Each comparison is divided by its standard deviation. `only` is the one comparison
/// that is wanted.
///
/// An added item has no row of the small model: those of the known items with the most similar
/// texts stand in for it, and nothing is compared with its own.
pub(crate) fn similarities(
    recommender: &Recommender,
    added: Option<&AddedItems>,
    item: ItemIndex,
    only: Option<Comparison>,
) -> Similarities {
    let known = recommender.catalogue.len();
    let items = added.map_or(known, AddedItems::positions);
    let (mut by, mut sums) = (Vec::new(), vec![0.0; items]);
    let mut add = |comparison, values: &[f32]| {
        let mut deviation = standard_deviation(&values[..known]);
        if deviation <= 0.0 {
            // It tells only added items apart.
            deviation = standard_deviation(values);
        }
        if deviation > 0.0 {
            by.push(comparison);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / deviation);
        }
    };
    let is_wanted = |comparison| only.is_none_or(|only| only == comparison);
    let (mut values, mut counted) = (vec![0.0; items], Vec::new());
    if let Some(signals) = &recommender.signals {
        if is_wanted(Comparison::Counts)
            && let Some(counts) = signals.counts()
            && counts.add_scores(&[item], &mut values)
        {
            drop(counts);
            add(Comparison::Counts, &values);
            counted.clone_from(&values);
        }
        if is_wanted(Comparison::Text)
            && let Some(text) = signals.text()
            && text.scores(&[item], added, &mut values)
        {
            add(Comparison::Text, &values);
        }
    }
    if is_wanted(Comparison::SmallModel) && item.position() < known {
        let mut values = cosines(&recommender.artifacts.current(), item, known);
        for position in known..items {
            let text = added.and_then(|added| added.text(ItemIndex(position as u32)));
            let neighbours = text.map_or(&[][..], AddedText::neighbours);
            values.push(neighbours.iter().map(|(it, weight)| weight * values[it.position()]).sum());
        }
        add(Comparison::SmallModel, &values);
    }
    Similarities { by, scores: sums, counted }
}

/// The cosine of each item's row and that of `item`; 0 where a row is empty.
fn cosines(release: &Release, item: ItemIndex, items: usize) -> Vec<f32> {
    let own: Vec<i32> = release.row_values(item).map(i32::from).collect();
    let own_norm = own.iter().map(|value| value * value).sum::<i32>() as f32;
    (0..items as u32)
        .map(|other| {
            let (mut dot, mut norm) = (0, 0);
            for (own, other) in own.iter().zip(release.row_values(ItemIndex(other))) {
                let other = i32::from(other);
                dot += own * other;
                norm += other * other;
            }
            let norms = (own_norm * norm as f32).sqrt();
            if norms > 0.0 { dot as f32 / norms } else { 0.0 }
        })
        .collect()
}
