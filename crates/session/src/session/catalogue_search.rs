use tandem_model::search::{Hit, Search};
use tandem_protocol::ItemId;

use crate::{Session, SessionError};

/// Table number of the hits among offered rows.
const OFFERED: usize = usize::MAX;

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

/// A search of all rows that are here.
pub(crate) struct CatalogueSearch<'a> {
    pub(crate) session: &'a Session,
    pub(crate) k: usize,
    /// Number of rows in cells after which no further cell is searched.
    pub(crate) most_rows: usize,
    /// Whether an item may be found. It implies that the site allows it.
    pub(crate) may_find: &'a dyn Fn(&ItemId) -> bool,
}

impl<'a> CatalogueSearch<'a> {
    /// Searches the whole table, the cells nearest to the query, and the rows that the server
    /// sent. Items with a row delta are scored with it.
    ///
    /// Names are looked up only of rows that score high enough, and in a whole table only of
    /// those that the site allows.
    pub(crate) fn run<'q>(
        &self,
        mut search: Search<'q>,
        query: &[f32],
    ) -> Result<Found, SessionError>
    where
        'a: 'q,
    {
        let Session { rows, delta, availability, .. } = self.session;
        let offered = self.offered();
        let mut positions: Vec<(u32, usize)> =
            offered.iter().filter_map(|item| rows.position(item)).collect();
        positions.sort_unstable();
        let is_offered =
            |table: u32, position: usize| positions.binary_search(&(table, position)).is_ok();
        let mut row = Vec::with_capacity(rows.dims());
        let allowed: Vec<&ItemId> =
            offered.into_iter().filter(|item| (self.may_find)(item)).collect();
        for (position, item) in allowed.iter().enumerate() {
            row.clear();
            rows.gather(item, &mut row);
            delta.apply_row(item, &mut row);
            search.offer(OFFERED, position, &row);
        }
        // Names of the rows of each table, in the order of the scans.
        let mut names: Vec<&[ItemId]> = Vec::new();
        if let Some((table, items)) = rows.whole_table() {
            names.push(items);
            search.scan(table, |position| {
                availability.allows_row(position)
                    && !is_offered(0, position)
                    && (self.may_find)(&items[position])
            })?;
        }
        let mut searched = 0;
        let cells = rows.cells().map(|cells| cells.nearest_held(query)).transpose()?;
        let mut cells = cells.unwrap_or_default().into_iter();
        while searched < self.most_rows
            && let Some((id, cell)) = cells.next()
        {
            searched += cell.ids().len();
            names.push(cell.ids());
            search.scan(cell.rows(), |position| {
                !is_offered(id.0, position) && (self.may_find)(&cell.ids()[position])
            })?;
        }
        let all_searched = cells.next().is_none();
        let hits = search.finish();
        let named = |hit: &Hit| {
            let item = match names.get(hit.table) {
                Some(names) => names.get(hit.position),
                None => allowed.get(hit.position).copied(),
            };
            Some((item?.clone(), hit.score))
        };
        let exhausted = hits.len() < self.k && all_searched;
        Ok(Found { items: hits.iter().filter_map(named).collect(), exhausted })
    }

    /// Items whose score does not follow from the stored row of a table, by name: those with a
    /// row delta, and those whose row came from the server.
    fn offered(&self) -> Vec<&'a ItemId> {
        let Session { rows, delta, .. } = self.session;
        let learnt = delta.keys().filter(|item| rows.contains(item));
        let sent = rows.kept_items().filter(|item| !(rows.is_whole() && rows.is_in_table(item)));
        let mut items: Vec<&ItemId> = learnt.chain(sent).collect();
        // Both are sorted already.
        items.sort();
        items.dedup();
        items
    }
}
