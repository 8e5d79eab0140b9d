use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};
use tandem_collaboration::Trigger;
use tandem_dataset::{Dataset, ItemIndex};
use tandem_model::{CountsPart, ItemTable, Scorer};
use tandem_protocol::{
    Candidate, CandidatesResponse, Ignored, ItemCounts, ItemId, ItemRow, NearItem, Ranking,
    RowsRequest, RowsResponse, Timings,
};
use tandem_session::{Ranked, RowStore, Session, Settings, encode_row};

use crate::EvaluationError;

/// What the device searches beside the candidate list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchScope {
    /// Nothing: it ranks the list alone.
    #[default]
    None,
    /// The whole item table.
    Whole,
    /// The cells that it has fetched.
    Cells,
}

/// What the server holds for devices that search in cells.
#[derive(Clone, Debug)]
pub struct CellFiles {
    /// The item table, for the rows of candidates and clicked items.
    pub table: ItemTable,
    /// The content of the cell files, in the order of the index.
    pub files: Vec<Vec<u8>>,
}

/// What every simulated session starts with: the shared weights, the item rows and the
/// settings. The sessions themselves are those of the browser.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedDevice<'a> {
    /// The small model.
    pub scorer: &'a Scorer,
    /// The item rows on the device: the whole table, or an index of cells.
    pub rows: &'a RowStore,
    /// What a device without the whole table fetches.
    pub cells: Option<&'a CellFiles>,
    /// Co-occurrence counts. A device without the whole table fetches those of its history.
    pub counts: Option<&'a CountsPart>,
    /// Fusion, policy and learning.
    pub settings: &'a Settings,
}

/// Bytes that crossed the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) up: usize,
    pub(crate) down: usize,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.up += other.up;
        self.down += other.down;
    }
}

impl SimulatedDevice<'_> {
    /// Starts a session of a user (position in the dataset) with the history `before`, oldest
    /// first.
    ///
    /// # Errors
    /// [`EvaluationError::Session`] for invalid settings, rows of another width than the model's,
    /// or counts of another catalogue.
    pub fn begin(
        &self,
        dataset: &Dataset,
        user: usize,
        before: &[ItemIndex],
    ) -> Result<Session, EvaluationError> {
        let mut settings = self.settings.clone();
        if let Trigger::Random { seed, .. } = &mut settings.policy.trigger {
            // Without this, all users would call at the same clicks.
            *seed ^= (user as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        let mut session = Session::new(self.scorer.clone(), self.rows.clone(), settings)?;
        if let Some(counts) = self.counts {
            if self.rows.is_whole() {
                session.set_counts(Arc::clone(&counts.rows), counts.weight)?;
            } else {
                session.use_sent_counts(counts.weight)?;
            }
        }
        session.prepend_history(before.iter().map(|&item| id(dataset, item)));
        Ok(session)
    }

    /// Requests a candidate list. The cloud answers with `candidates`, best first, with
    /// log-probabilities (nats), and with rows if the device lacks the item table.
    ///
    /// # Errors
    /// [`EvaluationError::Session`] if the session refuses the answer.
    pub(crate) fn request(
        &self,
        dataset: &Dataset,
        session: &mut Session,
        candidates: &[(ItemIndex, f32)],
        now_ms: f64,
    ) -> Result<Traffic, EvaluationError> {
        let (request, ticket) = session.begin_request(None, now_ms);
        let candidate = |&(item, logprob): &(ItemIndex, f32)| {
            let item = id(dataset, item);
            let row = self.row(dataset, &item).transpose()?;
            Ok(Candidate { item, logprob, row: row.map(|row| row.row), explanation: None })
        };
        let response = CandidatesResponse {
            model: "evaluation".into(),
            catalogue_hash: self.settings.catalogue_hash.clone(),
            ranking: Ranking::LanguageModel,
            candidates: candidates.iter().map(candidate).collect::<Result<_, EvaluationError>>()?,
            total: None,
            history_rows: self.rows_of(dataset, &request.history)?,
            ignored: Ignored::default(),
            timings: Timings::default(),
        };
        let traffic = Traffic { up: json_bytes(&request), down: json_bytes(&response) };
        session.accept(ticket, response, now_ms)?;
        Ok(traffic)
    }

    /// Ranks, fetches what a device lacks for its search, and ranks again if anything was
    /// fetched.
    ///
    /// # Errors
    /// [`EvaluationError::Session`] if the session fails.
    pub(crate) async fn rank(
        &self,
        dataset: &Dataset,
        session: &mut Session,
    ) -> Result<(Ranked, Traffic), EvaluationError> {
        let mut ranked = session.rank().await?;
        let mut traffic = Traffic::default();
        let Some(cells) = self.cells else { return Ok((ranked, traffic)) };
        let (items, counts) = (session.missing_rows(), session.missing_counts());
        let request = RowsRequest { items, counts, release: None };
        if !(request.items.is_empty() && request.counts.is_empty()) {
            let rows = self.rows_of(dataset, &request.items)?;
            let counts = self.counts_of(dataset, &request)?;
            let response = RowsResponse { rows, counts, ..RowsResponse::default() };
            traffic += Traffic { up: json_bytes(&request), down: json_bytes(&response) };
            session.accept_counts(&request.counts, &response)?;
            session.accept_rows(&request.items, &response)?;
            // The cells are chosen for a history with these rows.
            ranked = session.rank().await?;
        }
        let wanted = session.next_cells()?;
        for &cell in &wanted {
            let file = &cells.files[cell.0 as usize];
            traffic.down += file.len();
            session.accept_cell(cell, file)?;
        }
        if !wanted.is_empty() {
            ranked = session.rank().await?;
        }
        Ok((ranked, traffic))
    }

    /// The rows of items that a device without the item table is sent.
    fn rows_of(
        &self,
        dataset: &Dataset,
        items: &[ItemId],
    ) -> Result<Vec<ItemRow>, EvaluationError> {
        items.iter().filter_map(|item| self.row(dataset, item)).collect()
    }

    /// The counts that the server answers with; each row once.
    fn counts_of(
        &self,
        dataset: &Dataset,
        request: &RowsRequest,
    ) -> Result<Vec<ItemCounts>, EvaluationError> {
        let Some(counts) = self.counts else { return Ok(Vec::new()) };
        let mut sent: HashSet<ItemId> = request.items.iter().cloned().collect();
        let mut near_item = |position: u32, weight: f32| {
            let item = id(dataset, ItemIndex(position));
            let is_new = sent.insert(item.clone());
            let row = is_new.then(|| self.row(dataset, &item)).flatten().transpose()?;
            Ok(NearItem { item, weight, row: row.map(|row| row.row) })
        };
        let known = request
            .counts
            .iter()
            .filter_map(|item| Some((item, dataset.catalogue.index_of(item)?.position())));
        known
            .map(|(item, position)| {
                let near = counts.rows.row(position).map(|(near, weight)| near_item(near, weight));
                let near = near.collect::<Result<_, EvaluationError>>()?;
                Ok(ItemCounts { item: item.clone(), near })
            })
            .collect()
    }

    fn row(&self, dataset: &Dataset, item: &ItemId) -> Option<Result<ItemRow, EvaluationError>> {
        let position = dataset.catalogue.index_of(item)?.position();
        let row = self.cells?.table.row(position)?;
        Some(match row {
            Ok(row) => Ok(encode_row(item.clone(), &row)),
            Err(error) => Err(EvaluationError::Session(error.into())),
        })
    }
}

fn json_bytes(message: &impl Serialize) -> usize {
    // Messages of the protocol always serialise.
    serde_json::to_vec(message).map_or(0, |json| json.len())
}

/// The id of an item in its catalogue.
#[must_use]
pub(crate) fn id(dataset: &Dataset, item: ItemIndex) -> ItemId {
    dataset.catalogue.get(item).id.clone()
}

/// The last log-probability of a list (nats); `NaN` for an empty one.
pub(crate) fn last_logprob(list: &[(ItemIndex, f32)]) -> f32 {
    list.last().map_or(f32::NAN, |(_, logprob)| *logprob)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use tandem_collaboration::Trigger;
    use tandem_model::CountRows;
    use tandem_protocol::{Event, EventKind};

    use super::*;
    use crate::testing::{Parts, dataset, next_items};

    /// The items that a user with the history 0, 1, 2 is shown before and after a click on the
    /// item that `choose` takes from what is shown.
    fn shown(
        parts: &Parts,
        choose: impl Fn(&[ItemId]) -> ItemId,
    ) -> ([Vec<ItemId>; 2], [Traffic; 2]) {
        let (dataset, device) = (dataset(), parts.device());
        let before: Vec<ItemIndex> = (0..3).map(ItemIndex).collect();
        let mut session = device.begin(&dataset, 0, &before).unwrap();
        let list = &next_items(&before)[..2];
        device.request(&dataset, &mut session, list, 0.0).unwrap();
        let rank = |session: &mut Session| {
            let (ranked, traffic) = block_on(device.rank(&dataset, session)).unwrap();
            (ranked.items.into_iter().map(|item| item.item).collect::<Vec<_>>(), traffic)
        };
        let (first, first_bytes) = rank(&mut session);
        session.track(&Event { kind: EventKind::Click, item: choose(&first) });
        let (second, second_bytes) = rank(&mut session);
        ([first, second], [first_bytes, second_bytes])
    }

    fn searching() -> Parts {
        let mut parts = Parts::new(Trigger::Never);
        parts.search(100);
        parts
    }

    #[test]
    fn a_device_with_all_cells_shows_what_one_with_the_whole_table_shows() {
        let (whole, mut cells) = (searching(), searching());
        let bytes = cells.divide(4, 1 << 20);
        let best = |shown: &[ItemId]| shown[0].clone();
        let (expected, nothing) = shown(&whole, best);
        let (found, traffic) = shown(&cells, best);
        assert_eq!(expected, found);
        assert_eq!(nothing, [Traffic::default(); 2]);
        assert_eq!(traffic, [Traffic { up: 0, down: bytes }, Traffic::default()]);
    }

    #[test]
    fn a_device_with_all_cells_ranks_with_the_counts_of_the_whole_catalogue() {
        let dataset = dataset();
        let before: Vec<ItemIndex> = (0..3).map(ItemIndex).collect();
        // The small model's order, which the fusion of these tests leaves out.
        let order = |parts: &Parts| {
            let device = parts.device();
            let mut session = device.begin(&dataset, 0, &before).unwrap();
            let (ranked, traffic) = block_on(device.rank(&dataset, &mut session)).unwrap();
            let mut items: Vec<_> =
                ranked.items.into_iter().map(|item| (item.srm_rank, item.item)).collect();
            items.sort();
            (items, traffic)
        };
        let (mut whole, mut cells) = (searching(), searching());
        cells.divide(4, 1 << 20);
        let (plain, _) = order(&whole);
        for parts in [&mut whole, &mut cells] {
            let rows: Vec<Vec<(u32, f32)>> = (0..12).map(|at| vec![((at + 5) % 12, 1.0)]).collect();
            let rows = Arc::new(CountRows::new(&rows).unwrap());
            parts.count(CountsPart { rows, weight: 50.0 });
        }
        let ((expected, _), (found, traffic)) = (order(&whole), order(&cells));
        assert_eq!(expected, found);
        assert_ne!(expected, plain);
        assert!(traffic.up > 0, "{traffic:?}");
    }

    #[test]
    fn a_device_fetches_the_row_of_a_clicked_item_that_no_cell_brought() {
        let mut cells = searching();
        // Twelve cells of one item, of which four are fetched first where memory is small.
        cells.divide(12, 800);
        let unseen = |shown: &[ItemId]| {
            let mut items = (3..12).map(|item| ItemId::new(item.to_string()));
            items.find(|item| !shown.contains(item)).unwrap()
        };
        let ([first, second], [first_bytes, second_bytes]) = shown(&cells, unseen);
        assert!(first.len() < 9, "{first:?}");
        assert!(!second.contains(&unseen(&first)));
        assert!(first_bytes.up == 0 && first_bytes.down > 0);
        assert!(second_bytes.up > 0, "the row is requested");
    }
}
