//! Damaged files of a release never panic: cells, their index, item rows and weights.

use futures_lite::future::block_on;
use tandem_model::{
    CountRows, ItemTable, QuantisedRow, Scorer,
    cells::{Cell, CellEntry, CellIndex},
};
use tandem_protocol::{ItemId, ModelConfig, ModelKind};

use super::weights_of;

const VALUES: [f32; 6] = [0.5, -1.0, 2.0, 0.0, 1.0, -0.25];

fn cell() -> Cell {
    let ids = vec![ItemId::new("a"), ItemId::new("sku é"), ItemId::new("")];
    Cell::new(ids, ItemTable::quantise(&VALUES, 2).unwrap()).unwrap()
}

#[test]
fn damaged_cells_never_panic() {
    let seed = cell().to_bytes();
    let packed = cell().to_packed_bytes().unwrap();
    tandem_fuzzing::fuzz("cell", &[seed.clone(), packed], |bytes| {
        let read = Cell::from_bytes(bytes);
        if let Ok(cell) = &read {
            assert_eq!(Cell::from_bytes(&cell.to_bytes()).as_ref(), Ok(cell));
        }
        read.is_ok()
    });
    let centroid = || QuantisedRow::quantise(&[1.0, -1.0]).unwrap();
    let entries = vec![CellEntry::new(centroid(), 3, &seed), CellEntry::new(centroid(), 3, b"x")];
    let index = CellIndex::new(2, entries).unwrap();
    let packed = |row: &[f32]| QuantisedRow::quantise_to_4_bits(row).unwrap();
    let entries = vec![CellEntry::new(packed(&[0.7, -0.1]), 3, &seed)];
    let packed = CellIndex::new(2, entries).unwrap();
    tandem_fuzzing::fuzz("cell index", &[index.to_bytes(), packed.to_bytes()], |bytes| {
        let read = CellIndex::from_bytes(bytes);
        if let Ok(index) = &read {
            // An index of version 1 may be written as version 2.
            assert_eq!(CellIndex::from_bytes(&index.to_bytes()).as_ref(), Ok(index));
        }
        read.is_ok()
    });
}

#[test]
fn damaged_rows_never_panic() {
    let rows = ItemTable::quantise(&VALUES, 3).unwrap();
    let mut seed = Vec::new();
    seed.extend(2_u32.to_le_bytes());
    seed.extend(3_u32.to_le_bytes());
    for row in [0, 1] {
        rows.row(row).unwrap().unwrap().write(&mut seed);
    }
    tandem_fuzzing::fuzz("item rows", &[seed], |bytes| {
        let Ok(table) = ItemTable::from_bytes(bytes.to_vec()) else { return false };
        // Rows that are not finite are refused one by one.
        let _ = (table.row(0), table.row(1_000), table.values());
        true
    });
}

#[test]
fn damaged_count_rows_never_panic() {
    let rows = CountRows::new(&[vec![(1, 1.0), (2, 0.5)], Vec::new(), vec![(0, 3.0)]]).unwrap();
    tandem_fuzzing::fuzz("count rows", &[rows.as_bytes().to_vec()], |bytes| {
        let read = CountRows::from_bytes(bytes.to_vec());
        if let Ok(rows) = &read {
            assert_eq!(rows.as_bytes(), bytes);
            let found = rows.direction(0..10);
            assert!(found.iter().all(|(at, count)| (*at as usize) < rows.items() && *count >= 0.0));
        }
        read.is_ok()
    });
}

#[test]
fn damaged_weights_never_panic() {
    for kind in [ModelKind::Sasrec, ModelKind::Gru4rec, ModelKind::Din] {
        let config = ModelConfig { kind, dims: 4, blocks: 1, heads: 1, max_length: 5 };
        let seed = weights_of(&config, 3);
        tandem_fuzzing::fuzz(&format!("weights ({kind:?})"), &[seed], |bytes| {
            let Ok(scorer) = Scorer::new(&config, bytes) else { return false };
            block_on(scorer.encode(&[0.5; 8])).unwrap();
            true
        });
    }
}
