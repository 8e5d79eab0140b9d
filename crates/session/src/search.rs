use serde::{Deserialize, Serialize};
use tandem_model::{
    UserState,
    cells::{CellEntry, CellId},
    search::{Hit, Search},
};
use tandem_protocol::{ItemId, SearchConfig};

use crate::{Session, SessionError};

/// What a page asks of the search on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Number of rows in cells that a ranking searches, nearest cells first: the cost of a click
/// depends neither on the catalogue nor on the memory for cells.
const MAX_SEARCHED: usize = 20_000;

/// Result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Items with their scores by the search query, best first.
    pub(crate) items: Vec<(ItemId, f32)>,
    /// Whether these are all items that can be found.
    pub(crate) exhausted: bool,
}

impl Found {
    /// Without a search there is nothing deeper.
    pub(crate) fn nothing() -> Self {
        Self { items: Vec::new(), exhausted: true }
    }
}

impl Session {
    /// The best `k` items for a visitor among all rows here that may be recommended, listed or
    /// not. What was learnt takes part. Nothing for a user state that is not finite.
    pub(crate) fn find(&self, user: &UserState, k: usize) -> Result<Found, SessionError> {
        let query = self.scorer.search_query(user, &self.delta);
        if k == 0 || query.iter().any(|value| !value.is_finite()) {
            return Ok(Found::nothing());
        }
        let most_rows = MAX_SEARCHED.saturating_mul(k.div_ceil(self.settings.search_k.max(1)));
        let search = CatalogueSearch { session: self, k, most_rows };
        search.run(Search::new(&query, k)?, &query, &|item| self.may_recommend(item))
    }

    /// The `k` items among all rows here whose rows, as learnt, have the largest cosine with
    /// `row` `[dims]`.
    pub(crate) fn find_similar(
        &self,
        row: &[f32],
        k: usize,
        allows: &dyn Fn(&ItemId) -> bool,
    ) -> Result<Vec<(ItemId, f32)>, SessionError> {
        let search = CatalogueSearch { session: self, k, most_rows: usize::MAX };
        Ok(search.run(Search::cosine(row, k)?, row, allows)?.items)
    }

    /// Those of the `n` cells nearest to the visitor's state that are not here: fetch their
    /// files ([`cell`](Self::cell)) and pass them to [`accept_cell`](Self::accept_cell). Four
    /// cells of 64 KB at the first click, and one or two after each later one, find most of
    /// what the whole table would.
    ///
    /// Call it after a ranking, which encodes the history. Empty without cells, without a
    /// history that the model can read, and where the history has changed since the ranking.
    ///
    /// # Errors
    /// [`SessionError::Model`] if the index has another width than the model.
    pub fn wanted_cells(&mut self, n: usize) -> Result<Vec<CellId>, SessionError> {
        let Some(user) = self.encoding_cache.of(&self.readable_history()) else {
            return Ok(Vec::new());
        };
        let query = self.scorer.search_query(&user, &self.delta);
        if self.settings.search_k == 0 || query.iter().any(|value| !value.is_finite()) {
            return Ok(Vec::new());
        }
        let Some(cells) = self.rows.cells_mut() else { return Ok(Vec::new()) };
        Ok(cells.wanted(&query, n)?)
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
    /// cells are dropped; [`wanted_cells`](Self::wanted_cells) then names them again.
    ///
    /// # Errors
    /// [`SessionError::NoCells`] for a catalogue without cells, [`SessionError::Model`] if the
    /// file does not have the hash of the index or is not a cell of this catalogue. The cells
    /// that are here stay.
    pub fn accept_cell(&mut self, id: CellId, file: &[u8]) -> Result<(), SessionError> {
        let cells = self.rows.cells_mut().ok_or(SessionError::NoCells)?;
        Ok(cells.accept(id, file)?)
    }

    /// Number of cells that are here, and the memory that they take in bytes.
    #[must_use]
    pub fn cell_usage(&self) -> (usize, usize) {
        self.rows.cells().map_or((0, 0), crate::cell_store::CellStore::usage)
    }
}

/// A search of all rows that are here.
struct CatalogueSearch<'a> {
    session: &'a Session,
    k: usize,
    /// Number of rows in cells after which no further cell is searched.
    most_rows: usize,
}

/// Number of the table that stands for rows scored one by one.
const OFFERED: usize = usize::MAX;

impl<'a> CatalogueSearch<'a> {
    /// Searches the whole table, the cells nearest to the query, and the rows that the server
    /// sent. Items with a row delta are scored with it.
    fn run<'q>(
        &self,
        mut search: Search<'q>,
        query: &[f32],
        allows: &dyn Fn(&ItemId) -> bool,
    ) -> Result<Found, SessionError>
    where
        'a: 'q,
    {
        let Session { rows, delta, availability, .. } = self.session;
        // Names of the rows of each table, in the order of the scans.
        let mut names: Vec<&[ItemId]> = Vec::new();
        let stored = |item: &ItemId| delta.row(item).is_none() && allows(item);
        if let Some((table, items)) = rows.whole_table() {
            names.push(items);
            search.scan(table, |position| {
                availability.allows_row(position) && stored(&items[position])
            })?;
        }
        let mut searched = 0;
        let cells = rows.cells().map(|cells| cells.nearest_held(query)).transpose()?;
        let mut cells = cells.unwrap_or_default().into_iter();
        while searched < self.most_rows
            && let Some(cell) = cells.next()
        {
            searched += cell.ids().len();
            names.push(cell.ids());
            search.scan(cell.rows(), |position| {
                let item = &cell.ids()[position];
                stored(item) && rows.met(item).is_none()
            })?;
        }
        let all_searched = cells.next().is_none();
        let offered = self.offered(allows);
        let mut row = Vec::with_capacity(rows.dims());
        for (position, item) in offered.iter().enumerate() {
            row.clear();
            rows.gather(item, &mut row);
            delta.apply_row(item, &mut row);
            search.offer(OFFERED, position, &row);
        }
        let hits = search.finish();
        let named = |hit: &Hit| {
            let item = match names.get(hit.table) {
                Some(names) => names.get(hit.position),
                None => offered.get(hit.position).copied(),
            };
            Some((item?.clone(), hit.score))
        };
        let exhausted = hits.len() < self.k && all_searched;
        Ok(Found { items: hits.iter().filter_map(named).collect(), exhausted })
    }

    /// Items whose score does not follow from the stored row of a table: those with a row
    /// delta, and those whose row came from the server.
    fn offered(&self, allows: &dyn Fn(&ItemId) -> bool) -> Vec<&'a ItemId> {
        let Session { rows, delta, .. } = self.session;
        let learnt = delta.keys().filter(|item| rows.contains(item));
        let sent = rows.met_items().filter(|item| !(rows.is_whole() && rows.is_in_table(item)));
        let mut items: Vec<&ItemId> = learnt.chain(sent).filter(|item| allows(item)).collect();
        items.sort_unstable();
        items.dedup();
        items
    }
}
