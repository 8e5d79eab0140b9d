//! Exact search for the rows with the largest inner product with a query.
//!
//! A scan reads every 8-bit row once. It multiplies the stored `i8` values with the query
//! rounded to 16 bits and adds up in `i32`, which compilers turn into vector instructions
//! (`i32x4.dot_i16x8_s` on WebAssembly). The rounding error of a row's score is bounded, so the
//! scan drops only rows that cannot be among the best `k`. The remaining rows are scored again
//! in `f32` exactly as [`Scorer::personal_scores`](crate::Scorer::personal_scores) scores them.
//! The result is therefore the same as that of scoring all rows and sorting them.

mod query;

use query::QuantisedQuery;

use crate::{ItemTable, ModelError, products::dot, rows::StoredRow};

/// Rows that are multiplied together: the sums over their vector lanes then take half as many
/// instructions.
const GROUP: usize = 4;

/// A row found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Number of the scan that found it: 0 for the first table given to [`Search::scan`].
    pub table: usize,
    /// Position of the row in that table.
    pub position: usize,
    /// Inner product of the query and the row (a logit), or their cosine in a search by
    /// [`Search::cosine`].
    pub score: f32,
}

/// A search for the best `k` rows of one or more tables.
///
/// ```
/// use tandem_model::{ItemTable, search::Search};
///
/// let shop = ItemTable::quantise(&[1.0, 0.0, 0.0, 1.0], 2)?; // [2 items, 2 dims]
/// let more = ItemTable::quantise(&[2.0, 0.0], 2)?;
/// let mut search = Search::new(&[1.0, 0.5], 2)?;
/// search.scan(&shop, |_| true)?;
/// search.scan(&more, |_| true)?;
/// let places: Vec<_> = search.finish().iter().map(|hit| (hit.table, hit.position)).collect();
/// assert_eq!(places, [(1, 0), (0, 0)]);
/// # Ok::<(), tandem_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Search<'a> {
    query: QuantisedQuery<'a>,
    /// Whether rows are scored by their cosine with the query.
    cosine: bool,
    k: usize,
    tables: Vec<&'a ItemTable>,
    /// Rows that may be among the best, not scored exactly yet.
    candidates: Vec<Candidate>,
    /// Rows of [`offer`](Self::offer), scored exactly.
    offered: Vec<Hit>,
    /// Number of candidates at which [`prune`](Self::prune) runs.
    capacity: usize,
    /// A row that scores less than this cannot be among the best `k`.
    floor: f64,
}

/// A row that may be among the best, with the range in which its exact score lies.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    table: usize,
    position: usize,
    lowest: f64,
    highest: f64,
}

impl ItemTable {
    /// The best `k` rows of the table for a query `[dims]`, best first, ties by the lower
    /// position. Fewer than `k` if fewer are allowed.
    ///
    /// `allowed` says whether the row at a position may be found. It is asked only for rows
    /// that score high enough, so it may be as slow as a hash table. Rows whose score is not
    /// finite (a damaged scale) are never found.
    ///
    /// # Errors
    /// [`ModelError::Length`] if the query is not of the table's width,
    /// [`ModelError::NotFinite`] if it holds a value that is not finite.
    pub fn top_k(
        &self,
        query: &[f32],
        k: usize,
        allowed: impl Fn(usize) -> bool,
    ) -> Result<Vec<Hit>, ModelError> {
        let mut search = Search::new(query, k)?;
        search.scan(self, allowed)?;
        Ok(search.finish())
    }
}

impl<'a> Search<'a> {
    /// A search for the `k` rows with the largest inner product with `query` `[dims]`.
    ///
    /// # Errors
    /// [`ModelError::Empty`] for a query without values, [`ModelError::NotFinite`] if it holds
    /// a value that is not finite.
    pub fn new(query: &'a [f32], k: usize) -> Result<Self, ModelError> {
        Ok(Self {
            query: QuantisedQuery::new(query)?,
            cosine: false,
            k,
            tables: Vec::new(),
            candidates: Vec::new(),
            offered: Vec::new(),
            capacity: k.saturating_mul(4).max(512),
            floor: f64::NEG_INFINITY,
        })
    }

    /// A search for the `k` rows with the largest cosine with `query` `[dims]`, whatever their
    /// lengths. The cosine with a row or query of length 0 is 0.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn cosine(query: &'a [f32], k: usize) -> Result<Self, ModelError> {
        Ok(Self { cosine: true, ..Self::new(query, k)? })
    }

    /// Searches a table; `allowed` as in [`ItemTable::top_k`]. Returns the number of this scan,
    /// which its hits carry as [`Hit::table`].
    ///
    /// # Errors
    /// [`ModelError::Length`] if the rows are not of the query's width.
    pub fn scan(
        &mut self,
        table: &'a ItemTable,
        allowed: impl Fn(usize) -> bool,
    ) -> Result<usize, ModelError> {
        let dims = self.query.exact().len();
        if table.dims() != dims {
            return Err(ModelError::Length {
                what: "dimensions of the searched rows",
                expected: dims,
                found: table.dims(),
            });
        }
        self.tables.push(table);
        if self.k > 0 {
            self.collect(table, &allowed);
        }
        Ok(self.tables.len() - 1)
    }

    /// The loop of [`scan`](Self::scan). Not generic, so that it is compiled once and with the
    /// optimisation level of this crate.
    fn collect(&mut self, table: &ItemTable, allowed: &dyn Fn(usize) -> bool) {
        let (groups, rest) = table.stored_groups::<GROUP>();
        let mut position = 0;
        for rows in groups {
            let products = self.query.products(&rows);
            for (row, product) in rows.into_iter().zip(products) {
                self.consider(position, row, product, allowed);
                position += 1;
            }
        }
        for row in rest {
            self.consider(position, row, self.query.product(row), allowed);
            position += 1;
        }
    }

    /// Keeps a row of the newest table if it may be among the best; `product` is that of the
    /// rounded query and the row before scaling.
    #[inline]
    fn consider(
        &mut self,
        position: usize,
        row: StoredRow<'_>,
        product: i32,
        allowed: &dyn Fn(usize) -> bool,
    ) {
        let bounds = if self.cosine {
            self.query.cosine_bounds(row, product)
        } else {
            self.query.bounds(row, product)
        };
        let Some((lowest, highest)) = bounds else { return };
        if highest >= self.floor && allowed(position) {
            let table = self.tables.len() - 1;
            self.candidates.push(Candidate { table, position, lowest, highest });
            if self.candidates.len() >= self.capacity {
                self.prune();
            }
        }
    }

    /// Adds one row `[dims]` in `f32`, for items that do not score as their stored row does
    /// (see [`PersonalDelta::apply_row`](crate::PersonalDelta::apply_row)); `table` and
    /// `position` go into its [`Hit`]. Exclude the stored row from [`scan`](Self::scan).
    pub fn offer(&mut self, table: usize, position: usize, row: &[f32]) {
        let score = exact_score(self.query.exact(), row, self.cosine);
        if score.is_finite() {
            self.offered.push(Hit { table, position, score });
        }
    }

    /// The best `k` rows of all scanned tables, best first, ties by table and position.
    #[must_use]
    pub fn finish(mut self) -> Vec<Hit> {
        self.prune();
        let mut hits = self.offered;
        let mut row = Vec::with_capacity(self.query.exact().len());
        for &Candidate { table, position, .. } in &self.candidates {
            let Some(stored) = self.tables[table].stored_row(position) else { continue };
            row.clear();
            row.extend(stored.values());
            let score = exact_score(self.query.exact(), &row, self.cosine);
            if score.is_finite() {
                hits.push(Hit { table, position, score });
            }
        }
        hits.sort_by(|a, b| {
            let places = (a.table, a.position).cmp(&(b.table, b.position));
            // Adding 0 turns −0 into 0: they are equal scores.
            (b.score + 0.0).total_cmp(&(a.score + 0.0)).then(places)
        });
        hits.truncate(self.k);
        hits
    }

    /// Drops the candidates that `k` others certainly beat.
    fn prune(&mut self) {
        if self.k == 0 || self.candidates.len() <= self.k {
            return;
        }
        let mut lowest: Vec<f64> =
            self.candidates.iter().map(|candidate| candidate.lowest).collect();
        let (_, kth, _) = lowest.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        let floor = kth.max(self.floor);
        self.floor = floor;
        self.candidates.retain(|candidate| candidate.highest >= floor);
        // Where most rows score alike few can be dropped: wait longer before the next attempt.
        self.capacity = self.capacity.max(self.candidates.len() * 2);
    }
}

/// Score of a row in `f32`.
fn exact_score(query: &[f32], row: &[f32], cosine: bool) -> f32 {
    let product = dot(query, row);
    if !cosine {
        return product;
    }
    let lengths = (dot(query, query) * dot(row, row)).sqrt();
    if lengths > 0.0 { product / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests;
