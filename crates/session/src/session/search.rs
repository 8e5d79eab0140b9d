use serde::{Deserialize, Serialize};
use tandem_model::{
    UserState,
    cells::{CellEntry, CellId},
    search::Search,
};
use tandem_protocol::{ItemId, SearchConfig};

use super::catalogue_search::{CatalogueSearch, Found};
use crate::{Session, SessionError, cell_store::Nearest};

/// What a page asks of the search on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub enum SearchMode {
    /// As the manifest says.
    #[default]
    Auto,
    /// The whole item table, even if the manifest has cells.
    Whole,
    /// Cells; the whole table if the manifest has none.
    Cells,
    /// No search: only the candidate list is ranked.
    Off,
}

/// What a device loads for its search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchSource {
    /// The whole item table.
    Whole,
    /// The index of the cells, and the cells near the visitor's state.
    Cells,
}

impl SearchMode {
    /// What the device is to load for a manifest; `None` if it does not search. A manifest
    /// without a search configuration is searched only if the page asks for the whole table.
    #[must_use]
    pub fn source(self, config: Option<&SearchConfig>) -> Option<SearchSource> {
        let has_cells = config.is_some_and(|config| config.cells.is_some());
        match self {
            Self::Off => None,
            Self::Whole => Some(SearchSource::Whole),
            Self::Auto | Self::Cells if has_cells => Some(SearchSource::Cells),
            Self::Auto | Self::Cells => config.map(|_| SearchSource::Whole),
        }
    }
}

/// Number of cells that are fetched first, at least ([`Session::next_cells`]).
pub const FIRST_CELLS: usize = 4;

/// More cells are fetched first while the files of all of them are within this number of bytes:
/// of a catalogue that is not much too large for a device, a good part.
pub const FIRST_BYTES: usize = 196_608;

/// Number of nearest cells that are here after each later click, at least. Most of them are here
/// already, so that about half a cell is fetched per click.
pub const MORE_CELLS: usize = 2;

/// As [`FIRST_BYTES`], for each later click.
pub const MORE_BYTES: usize = 65_536;

/// Bytes of the files that [`Session::further_cells`] names at once, unless the first has more.
pub const FURTHER_BYTES: usize = 65_536;

/// Number of rows in cells that a ranking searches, nearest cells first. Apart from a scan of the
/// centroids, the cost of a click depends neither on the catalogue nor on the memory for cells.
const MAX_SEARCHED: usize = 20_000;

impl Session {
    /// The best `k` items for a visitor among all rows here that may be recommended, listed or
    /// not. What was learnt takes part. Nothing for a user state that is not finite.
    pub(crate) fn find(&self, user: &UserState, k: usize) -> Result<Found, SessionError> {
        let query = self.scorer.search_query(user, &self.delta);
        if k == 0 || query.iter().any(|value| !value.is_finite()) {
            return Ok(Found::nothing());
        }
        let most_rows = MAX_SEARCHED.saturating_mul(k.div_ceil(self.settings.search_k.max(1)));
        let may_find = |item: &ItemId| self.may_recommend(item);
        let search = CatalogueSearch { session: self, k, most_rows, may_find: &may_find };
        search.run(Search::new(&query, k)?, &query)
    }

    /// The `k` items among all rows here that are most similar to `item`, whose row, as learnt,
    /// is `row` `[dims]`: those with the largest cosine.
    pub(crate) fn find_similar(
        &self,
        item: &ItemId,
        row: &[f32],
        k: usize,
    ) -> Result<Vec<(ItemId, f32)>, SessionError> {
        let may_find = |other: &ItemId| other != item && self.availability.allows(other);
        let most_rows = usize::MAX;
        let search = CatalogueSearch { session: self, k, most_rows, may_find: &may_find };
        Ok(search.run(Search::cosine(row, k)?, row)?.items)
    }

    /// Those of the `n` cells nearest to the visitor's state that are not here: fetch their
    /// files ([`cell`](Self::cell)) and pass them to [`accept_cell`](Self::accept_cell).
    ///
    /// Call it after a ranking, which encodes the history. Empty without cells, without a
    /// history that the model can read, and where the history has changed since the ranking.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the index has another width than the model.
    pub fn wanted_cells(&mut self, n: usize) -> Result<Vec<CellId>, SessionError> {
        self.wanted_of(Nearest { cells: n, bytes: 0 })
    }

    fn wanted_of(&mut self, near: Nearest) -> Result<Vec<CellId>, SessionError> {
        let Some(query) = self.cell_query() else { return Ok(Vec::new()) };
        let Some(cells) = self.rows.cells_mut() else { return Ok(Vec::new()) };
        Ok(cells.wanted(&query, near)?)
    }

    /// The query by which cells are chosen, if there is one after the last ranking.
    fn cell_query(&mut self) -> Option<Vec<f32>> {
        let user = self.encoding_cache.of(&self.readable_history())?;
        let query = self.scorer.search_query(&user, &self.delta);
        let is_usable = self.settings.search_k > 0 && query.iter().all(|value| value.is_finite());
        is_usable.then_some(query)
    }

    /// The next cells for a page whose filter leaves too few items: the nearest that are not
    /// here, with at most [`FURTHER_BYTES`] or one cell. Empty if no further cell fits into the
    /// memory for cells, if the rows of all available items are here, and as
    /// [`wanted_cells`](Self::wanted_cells). Without those that are not usable.
    ///
    /// # Errors
    /// As [`wanted_cells`](Self::wanted_cells).
    pub fn further_cells(
        &mut self,
        is_usable: impl Fn(CellId) -> bool,
    ) -> Result<Vec<CellId>, SessionError> {
        if !self.may_be_in_a_cell() {
            return Ok(Vec::new());
        }
        let Some(query) = self.cell_query() else { return Ok(Vec::new()) };
        let Some(cells) = self.rows.cells_mut() else { return Ok(Vec::new()) };
        Ok(cells.further(&query, FURTHER_BYTES, is_usable)?)
    }

    /// The cells to fetch now: the nearest [`FIRST_CELLS`], or those within [`FIRST_BYTES`] if
    /// these are more, while none is here; later those of the nearest [`MORE_CELLS`], or within
    /// [`MORE_BYTES`], that are not here. See [`wanted_cells`](Self::wanted_cells).
    ///
    /// # Errors
    /// As [`wanted_cells`](Self::wanted_cells).
    pub fn next_cells(&mut self) -> Result<Vec<CellId>, SessionError> {
        self.wanted_of(if self.cell_usage().0 == 0 {
            Nearest { cells: FIRST_CELLS, bytes: FIRST_BYTES }
        } else {
            Nearest { cells: MORE_CELLS, bytes: MORE_BYTES }
        })
    }

    /// Size, path and hash of a cell's file.
    ///
    /// # Errors
    /// [`SessionError::NoCells`] for a catalogue without cells, [`SessionError::Model`] for a
    /// cell that the index does not have.
    pub fn cell(&self, id: CellId) -> Result<CellEntry, SessionError> {
        let cells = self.rows.cells().ok_or(SessionError::NoCells)?;
        Ok(cells.index().entry(id)?)
    }

    /// Keeps a cell for the search. If the memory bound is exceeded, the least recently used
    /// cells are dropped; [`wanted_cells`](Self::wanted_cells) then names them again. The rows of
    /// the history's items stay.
    ///
    /// # Errors
    /// [`SessionError::NoCells`] for a catalogue without cells, [`SessionError::Model`] if the
    /// file does not have the hash of the index or is not a cell of this catalogue. The cells
    /// that are here stay.
    pub fn accept_cell(&mut self, id: CellId, file: &[u8]) -> Result<(), SessionError> {
        let cells = self.rows.cells_mut().ok_or(SessionError::NoCells)?;
        cells.accept(id, file)?;
        for item in self.visitor.history() {
            self.rows.keep(item);
        }
        Ok(())
    }

    /// Number of cells that are here, and the memory that they take in bytes.
    #[must_use]
    pub fn cell_usage(&self) -> (usize, usize) {
        self.rows.cells().map_or((0, 0), crate::cell_store::CellStore::usage)
    }
}
