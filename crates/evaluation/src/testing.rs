//! A small dataset and a device with random weights, ranked by the language model alone.

use std::collections::HashMap;

use tandem_collaboration::{Fusion, LanguageModelScore, Normalisation, Policy, Trigger};
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence};
use tandem_model::{Body, ItemTable, LearningConfig, Scorer};
use tandem_protocol::{ItemId, ModelConfig, ModelKind};
use tandem_session::{RowStore, Settings};

use crate::SimulatedDevice;

const ITEMS: u32 = 12;

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

/// The parts of a simulated device.
pub(crate) struct Parts {
    scorer: Scorer,
    rows: RowStore,
    settings: Settings,
}

impl Parts {
    pub(crate) fn new(trigger: Trigger) -> Self {
        let config =
            ModelConfig { kind: ModelKind::Sasrec, dims: 4, blocks: 1, heads: 1, max_length: 4 };
        let cpu = tandem_model::Device::flex();
        let bytes = Body::new(&config, 0.0, &cpu).unwrap().to_bytes(&HashMap::new()).unwrap();
        let table: Vec<f32> = (0..ITEMS * 4).map(|i| (i as f32 * 0.7).sin()).collect();
        let rows = RowStore::whole(
            ItemTable::quantise(&table, 4).unwrap(),
            (0..ITEMS).map(|id| ItemId::new(id.to_string())),
        );
        let settings = Settings {
            // The language model alone, so that ranks can be computed by hand.
            fusion: Fusion::weighted(1.0, LanguageModelScore::Rank, Normalisation::Rank),
            policy: Policy::bare(trigger),
            learning: LearningConfig::default(),
            base: "base".into(),
            catalogue_hash: "catalogue".into(),
            search_k: 0,
            popular: Vec::new(),
            repeats: false,
        };
        let scorer = Scorer::new(&config, &bytes, &cpu).unwrap();
        Self { scorer, rows: rows.unwrap(), settings }
    }

    /// Lets the device search for its best `k` items.
    pub(crate) fn search(&mut self, k: usize) {
        self.settings.search_k = k;
    }

    pub(crate) fn device(&self) -> SimulatedDevice<'_> {
        SimulatedDevice { scorer: &self.scorer, rows: &self.rows, settings: &self.settings }
    }
}
