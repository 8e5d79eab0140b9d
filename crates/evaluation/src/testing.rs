//! A small dataset and a device with random weights, ranked by the language model alone.

use std::{collections::HashMap, sync::OnceLock};

use tandem_collaboration::{Fusion, LanguageModelScore, Normalisation, Policy, Trigger};
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence};
use tandem_model::{
    Body, CountsPart, Device, ItemTable, QuantisedRow, Scorer,
    cells::{Cell, CellEntry, CellIndex},
};
use tandem_protocol::{ItemId, ModelConfig, ModelKind};
use tandem_session::{RowStore, Settings};

use crate::{CellFiles, SimulatedDevice};

const ITEMS: u32 = 12;
const DIMS: usize = 4;

/// Users `a`, `b`, `c` and `d` over 12 items.
pub(crate) fn dataset() -> Dataset {
    let items = (0..ITEMS).map(|id| Item::untitled(id.to_string().as_str().into())).collect();
    let sequence = |user: &str, items: &[u32]| Sequence {
        user: user.into(),
        items: items.iter().copied().map(ItemIndex).collect(),
        times: None,
    };
    let sequences = vec![
        sequence("a", &[0, 1, 2, 3, 4, 5]),
        sequence("b", &[5, 3]),
        sequence("c", &[9, 8, 7, 6]),
        sequence("d", &[9, 8, 7, 6, 5]),
    ];
    Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap()
}

/// The items that follow the newest one: right for user `a`, wrong for `c` and `d`.
pub(crate) fn next_items(items: &[ItemIndex]) -> Vec<(ItemIndex, f32)> {
    let last = items.last().unwrap().0;
    (1..ITEMS).map(|by| (ItemIndex((last + by) % ITEMS), -(by as f32))).collect()
}

fn item_table() -> ItemTable {
    let values: Vec<f32> = (0..ITEMS as usize * DIMS).map(|i| (i as f32 * 0.7).sin()).collect();
    ItemTable::quantise(&values, DIMS).unwrap()
}

/// The same random weights for all devices: the generator is shared with tests that run beside
/// this one.
fn weights(config: &ModelConfig) -> &'static [u8] {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(|| {
        let device = Device::flex();
        device.seed(7);
        Body::new(config, 0.0, &device).unwrap().to_bytes(&HashMap::new()).unwrap()
    })
}

/// The parts of a simulated device.
pub(crate) struct Parts {
    scorer: Scorer,
    rows: RowStore,
    cells: Option<CellFiles>,
    counts: Option<CountsPart>,
    settings: Settings,
}

impl Parts {
    pub(crate) fn new(trigger: Trigger) -> Self {
        let config =
            ModelConfig { kind: ModelKind::Sasrec, dims: DIMS, blocks: 1, heads: 1, max_length: 4 };
        let rows = RowStore::whole(item_table(), (0..ITEMS).map(|id| ItemId::new(id.to_string())));
        let settings = Settings {
            // The language model alone, so that ranks can be computed by hand.
            fusion: Fusion::weighted(1.0, LanguageModelScore::Rank, Normalisation::Rank),
            policy: Policy::bare(trigger),
            base: "base".into(),
            catalogue_hash: "catalogue".into(),
            ..Settings::default()
        };
        let scorer = Scorer::new(&config, weights(&config)).unwrap();
        Self { scorer, rows: rows.unwrap(), cells: None, counts: None, settings }
    }

    /// Lets the device search for its best `k` items.
    pub(crate) fn search(&mut self, k: usize) {
        self.settings.search_k = k;
    }

    /// Ranks with counts.
    pub(crate) fn count(&mut self, counts: CountsPart) {
        self.counts = Some(counts);
    }

    /// Divides the item table into `count` cells of consecutive items, for which the device has
    /// `memory` bytes. Returns their bytes.
    pub(crate) fn divide(&mut self, count: usize, memory: usize) -> usize {
        let (table, ids) = (&item_table(), (0..ITEMS).map(|id| ItemId::new(id.to_string())));
        let ids: Vec<ItemId> = ids.collect();
        let rows: Vec<QuantisedRow> =
            (0..ids.len()).map(|at| table.row(at).unwrap().unwrap()).collect();
        let size = ids.len() / count;
        let cells = ids.chunks(size).zip(rows.chunks(size)).map(|(ids, rows)| {
            let values: Vec<f32> = rows.iter().flat_map(QuantisedRow::values).collect();
            let cell = Cell::new(ids.to_vec(), ItemTable::quantise(&values, DIMS).unwrap());
            let file = cell.unwrap().to_bytes();
            (CellEntry::new(rows[0].clone(), ids.len() as u32, &file), file)
        });
        let (entries, files): (Vec<CellEntry>, Vec<Vec<u8>>) = cells.unzip();
        let bytes = files.iter().map(Vec::len).sum();
        self.rows = RowStore::with_cells(CellIndex::new(DIMS, entries).unwrap(), memory);
        self.cells = Some(CellFiles { table: table.clone(), files });
        bytes
    }

    pub(crate) fn device(&self) -> SimulatedDevice<'_> {
        let Self { scorer, rows, cells, counts, settings } = self;
        SimulatedDevice { scorer, rows, cells: cells.as_ref(), counts: counts.as_ref(), settings }
    }
}
