//! Rows of parts of the users.

use anyhow::Result;
use tandem_dataset::Dataset;
use tandem_evaluation::{ResultRow, Stratum};

use super::rows::Origin;

/// For each part of the users, the positions of its targets.
pub(super) struct Strata(Vec<(Stratum, Vec<usize>)>);

impl Strata {
    /// The parts of targets; a target is a user and the number of items before it.
    pub(super) fn of(dataset: &Dataset, targets: &[(usize, usize)]) -> Self {
        let members = |stratum: Stratum| {
            let holds =
                |(_, target): &(usize, &(usize, usize))| stratum.holds(dataset, target.0, target.1);
            targets.iter().enumerate().filter(holds).map(|(at, _)| at).collect()
        };
        let strata = Stratum::ALL.into_iter().map(|stratum| (stratum, members(stratum)));
        // The row of a part that holds all targets would repeat the row of all.
        let is_proper_subset =
            |(_, held): &(Stratum, Vec<usize>)| !held.is_empty() && held.len() < targets.len();
        Self(strata.filter(is_proper_subset).collect())
    }

    /// The row of all targets with these ranks, and one row for each part.
    pub(super) fn rows(
        &self,
        origin: &Origin<'_>,
        whole: ResultRow,
        ranks: &[Option<usize>],
    ) -> Result<Vec<ResultRow>> {
        let mut rows = Vec::with_capacity(1 + self.0.len());
        for (stratum, held) in &self.0 {
            let ranks: Vec<Option<usize>> = held.iter().map(|&at| ranks[at]).collect();
            let ResultRow { hr10, ndcg10, metrics, .. } = origin.row(&whole.name, &ranks)?;
            let stratum = Some(*stratum);
            rows.push(ResultRow { stratum, hr10, ndcg10, metrics, ..whole.clone() });
        }
        rows.insert(0, whole);
        Ok(rows)
    }
}
