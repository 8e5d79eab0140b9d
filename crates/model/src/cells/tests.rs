use proptest::prelude::*;
use tandem_protocol::ItemId;

use super::*;
use crate::{ItemTable, ModelError, QuantisedRow};

/// A cell of `items` rows of `dims` values around `centre`.
fn cell(items: usize, dims: usize, centre: f32) -> Cell {
    let values: Vec<f32> = (0..items * dims).map(|at| centre + at as f32 * 0.01).collect();
    let ids = (0..items).map(|item| ItemId::new(format!("item {centre} {item} é"))).collect();
    Cell::new(ids, ItemTable::quantise(&values, dims).unwrap()).unwrap()
}

fn entry(cell: &Cell, centroid: &[f32]) -> CellEntry {
    let centroid = QuantisedRow::quantise(centroid).unwrap();
    CellEntry::new(centroid, cell.ids().len() as u32, &cell.to_bytes())
}

/// Three cells of 2, 3 and 1 items, and their index.
fn index() -> (CellIndex, Vec<Cell>) {
    let cells = vec![cell(2, 2, 1.0), cell(3, 2, -1.0), cell(1, 2, 0.5)];
    let centroids = [[1.0, 1.0], [-1.0, -1.0], [1.0, 0.0]];
    let entries = cells.iter().zip(&centroids).map(|(cell, centroid)| entry(cell, centroid));
    (CellIndex::new(2, entries.collect()).unwrap(), cells)
}

#[test]
fn an_index_and_its_cells_are_written_and_read() {
    let (index, cells) = index();
    let read = CellIndex::from_bytes(&index.to_bytes()).unwrap();
    assert_eq!(read, index);
    assert_eq!((read.len(), read.items(), read.dims(), read.is_empty()), (3, 6, 2, false));
    for (at, cell) in cells.iter().enumerate() {
        assert_eq!(&read.open(CellId(at as u32), &cell.to_bytes()).unwrap(), cell);
    }
    let entry = read.entry(CellId(1)).unwrap();
    assert_eq!((entry.items, entry.bytes as usize), (3, cells[1].to_bytes().len()));
    assert_eq!(entry.path().len(), "cells/".len() + 64);
}

/// As [`index`], with centroids of 4 bits per value and an odd width.
fn packed_index() -> CellIndex {
    let cells = [cell(2, 3, 1.0), cell(1, 3, -1.0)];
    let centroids = [[0.7, -0.5, 0.1], [-1.4, 0.0, 1.4]];
    let entries = cells.iter().zip(&centroids).map(|(cell, centroid)| {
        let centroid = QuantisedRow::quantise_to_4_bits(centroid).unwrap();
        CellEntry::new(centroid, cell.ids().len() as u32, &cell.to_bytes())
    });
    CellIndex::new(3, entries.collect()).unwrap()
}

#[test]
fn centroids_of_4_bits_are_packed() {
    let index = packed_index();
    let bytes = index.to_bytes();
    assert_eq!((&bytes[..8], bytes.len()), (b"TNDMCIX2".as_slice(), 20 + 2 * (4 + 2 + 40)));
    // Steps of 0.1: 7 and −5 in the first byte, 1 in the second.
    assert_eq!(bytes[24..26], [0xB7, 0x01]);
    let read = CellIndex::from_bytes(&bytes).unwrap();
    assert_eq!(read, index);
    let values: Vec<f32> = read.entry(CellId(0)).unwrap().centroid.values().collect();
    for (value, expected) in values.iter().zip([0.7, -0.5, 0.1]) {
        assert!((value - expected).abs() < 1e-6, "{values:?}");
    }
    for length in 0..bytes.len() {
        let error = CellIndex::from_bytes(&bytes[..length]).unwrap_err();
        assert!(matches!(error, ModelError::Length { .. }), "{length}: {error}");
    }
    // −8, and a value beyond the width.
    for (at, value) in [(24, 0x08), (25, 0x11)] {
        let mut bad = bytes.clone();
        bad[at] = value;
        assert!(matches!(CellIndex::from_bytes(&bad), Err(ModelError::Format(_))));
    }
}

/// Written by earlier programs.
#[test]
fn a_cell_of_version_2_is_read() {
    let rows = [[0.7, -0.5, 0.1], [-1.4, 0.0, 1.4]];
    let mut table = ItemTable::new(3).unwrap();
    let mut bytes =
        [b"TNDMCEL2".as_slice(), &[3, 0, 0, 0, 2, 0, 0, 0], b"\x01\0a\x02\0bc"].concat();
    for row in &rows {
        let row = QuantisedRow::quantise_to_4_bits(row).unwrap();
        table.push(&row).unwrap();
        let mut stored = Vec::new();
        row.write(&mut stored);
        let half = |at: usize| stored.get(4 + at).copied().unwrap_or(0) & 0x0F;
        bytes.extend_from_slice(&stored[..4]);
        bytes.extend([half(0) | half(1) << 4, half(2)]);
    }
    let cell = Cell::new(vec!["a".into(), "bc".into()], table).unwrap();
    assert_eq!(Cell::from_bytes(&bytes).unwrap(), cell);
    for length in 0..bytes.len() {
        let error = Cell::from_bytes(&bytes[..length]).unwrap_err();
        assert!(matches!(error, ModelError::Length { .. }), "{length}: {error}");
    }
    let mut bad = bytes;
    bad[27] = 0x08;
    assert!(matches!(Cell::from_bytes(&bad), Err(ModelError::Format(_))));
}

#[test]
fn a_packed_cell_is_smaller_and_its_rows_are_near() {
    let cell = cell(200, 16, 3.0);
    let (exact, packed) = (cell.to_bytes(), cell.to_packed_bytes().unwrap());
    assert!(packed.len() * 10 < exact.len() * 6, "{} {}", packed.len(), exact.len());
    let read = Cell::from_bytes(&packed).unwrap();
    assert_eq!(read.ids(), cell.ids());
    for (found, exact) in read.rows().values().unwrap().iter().zip(cell.rows().values().unwrap()) {
        // The rows go from 3 to 35, in steps of 16 around their mean of 19.
        assert!((found - exact).abs() < 0.8, "{found} {exact}");
    }
    for length in 0..packed.len() {
        assert!(Cell::from_bytes(&packed[..length]).is_err(), "{length}");
    }
    // A count of four billion items or dimensions in a short file.
    for at in [8, 12] {
        let mut large = packed.clone();
        large[at..at + 4].fill(0xFF);
        assert!(Cell::from_bytes(&large).is_err());
    }
}

#[test]
fn an_index_of_version_1_is_read() {
    let (index, _) = index();
    let bytes = index.to_bytes();
    assert_eq!(&bytes[..8], b"TNDMCIX1");
    assert_eq!(CellIndex::from_bytes(&bytes).unwrap(), index);
}

#[test]
fn the_nearest_cells_have_the_largest_inner_product() {
    let (index, _) = index();
    // (2, 1) with the centroids: 3, −3, 2.
    let query = [2.0, 1.0];
    assert_eq!(index.nearest(&query, 2).unwrap(), [CellId(0), CellId(2)]);
    assert_eq!(index.nearest(&query, 9).unwrap(), [CellId(0), CellId(2), CellId(1)]);
    assert_eq!(index.nearest(&query, 0).unwrap(), []);
    assert_eq!(index.sorted(&query, [CellId(1), CellId(2)]).unwrap(), [CellId(2), CellId(1)]);
    let unknown = index.sorted(&query, [CellId(3)]);
    assert!(matches!(unknown, Err(ModelError::UnknownCell { cell: 3, .. })));
    for refused in [index.nearest(&[1.0], 2), index.sorted(&[1.0], [CellId(0)])] {
        assert!(matches!(refused, Err(ModelError::Length { .. })));
    }
}

#[test]
fn a_changed_byte_in_a_cell_is_found_by_its_hash() {
    let (index, cells) = index();
    let good = cells[0].to_bytes();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let error = index.open(CellId(0), &bad).unwrap_err();
        assert!(matches!(error, ModelError::Integrity { .. }), "{at}: {error}");
    }
    assert!(matches!(
        index.open(CellId(0), &cells[1].to_bytes()),
        Err(ModelError::Integrity { .. })
    ));
}

#[test]
fn a_cell_that_the_index_does_not_have_is_refused() {
    let (index, cells) = index();
    let error = index.open(CellId(3), &cells[0].to_bytes()).unwrap_err();
    assert_eq!(error, ModelError::UnknownCell { cell: 3, cells: 3 });
    assert!(error.to_string().contains("cell 3"), "{error}");
}

#[test]
fn a_cell_must_match_its_entry() {
    let other = cell(2, 3, 1.0);
    let index = CellIndex::new(2, vec![entry(&other, &[1.0, 1.0])]).unwrap();
    let error = index.open(CellId(0), &other.to_bytes()).unwrap_err();
    let expected = ModelError::Length { what: "dimensions of a cell", expected: 2, found: 3 };
    assert_eq!(error, expected);
    let right = cell(2, 2, 1.0);
    let wrong = CellEntry { items: 5, ..entry(&right, &[1.0, 1.0]) };
    let index = CellIndex::new(2, vec![wrong]).unwrap();
    let error = index.open(CellId(0), &right.to_bytes()).unwrap_err();
    assert_eq!(error, ModelError::Length { what: "items of a cell", expected: 5, found: 2 });
}

#[test]
fn files_that_are_cut_short_or_too_long_are_refused() {
    let (index, cells) = index();
    let (index, cell) = (index.to_bytes(), cells[1].to_bytes());
    for length in 0..index.len() {
        let error = CellIndex::from_bytes(&index[..length]).unwrap_err();
        assert!(matches!(error, ModelError::Length { .. }), "{length}: {error}");
    }
    for length in 0..cell.len() {
        let error = Cell::from_bytes(&cell[..length]).unwrap_err();
        assert!(matches!(error, ModelError::Length { .. }), "{length}: {error}");
    }
    for longer in [[index, vec![0]].concat(), [cell, vec![0]].concat()] {
        let found = (CellIndex::from_bytes(&longer).err(), Cell::from_bytes(&longer).err());
        let length = |error: &Option<ModelError>| matches!(error, Some(ModelError::Length { .. }));
        assert!(length(&found.0) || length(&found.1), "{found:?}");
    }
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let (index, cells) = index();
    assert!(matches!(Cell::from_bytes(&index.to_bytes()), Err(ModelError::Format(_))));
    assert!(matches!(CellIndex::from_bytes(b"<html>  "), Err(ModelError::Format(_))));
    let (mut newer_index, mut newer_cell) = (index.to_bytes(), cells[0].to_bytes());
    (newer_index[7], newer_cell[7]) = (b'3', b'4');
    assert_eq!(
        CellIndex::from_bytes(&newer_index),
        Err(ModelError::FormatVersion { what: "cell index", supported: 2, found: 3 })
    );
    assert_eq!(
        Cell::from_bytes(&newer_cell),
        Err(ModelError::FormatVersion { what: "cell", supported: 3, found: 4 })
    );
}

#[test]
fn wrong_counts_and_values_are_refused() {
    let (index, cells) = index();
    let mut total = index.to_bytes();
    total[16] += 1;
    assert!(matches!(CellIndex::from_bytes(&total), Err(ModelError::Format(_))));
    let mut nan = index.to_bytes();
    nan[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(CellIndex::from_bytes(&nan), Err(ModelError::NotFinite { .. })));
    let mut nan = cells[2].to_bytes();
    let row = nan.len() - 6;
    nan[row..row + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(matches!(Cell::from_bytes(&nan), Err(ModelError::NotFinite { .. })));
    let mut text = cells[2].to_bytes();
    text[18] = 0xFF;
    assert!(matches!(Cell::from_bytes(&text), Err(ModelError::Format(_))));
    // A count of four billion items or dimensions in a short file.
    for at in [8, 12] {
        let mut large = cells[2].to_bytes();
        large[at..at + 4].fill(0xFF);
        assert!(Cell::from_bytes(&large).is_err());
        let mut large = index.to_bytes();
        large[at..at + 4].fill(0xFF);
        assert!(CellIndex::from_bytes(&large).is_err());
    }
}

#[test]
fn an_index_has_cells_of_one_width() {
    assert_eq!(CellIndex::new(2, vec![]), Err(ModelError::Empty("the cell index")));
    let wide = entry(&cell(1, 3, 1.0), &[1.0, 2.0, 3.0]);
    assert!(matches!(CellIndex::new(2, vec![wide]), Err(ModelError::Length { .. })));
    let rows = ItemTable::quantise(&[1.0, 2.0], 1).unwrap();
    let ids = vec![ItemId::new("only one")];
    assert!(matches!(Cell::new(ids, rows.clone()), Err(ModelError::Length { .. })));
    let long = vec![ItemId::new("a"), ItemId::new("b".repeat(70_000))];
    assert!(matches!(Cell::new(long, rows), Err(ModelError::Length { .. })));
}

proptest! {
    #[test]
    fn any_ids_and_rows_are_written_and_read(
        ids in prop::collection::vec(".{0,12}", 0..20), dims in 1_usize..9,
    ) {
        let values: Vec<f32> = (0..ids.len() * dims).map(|at| (at as f32).sin()).collect();
        let rows = ItemTable::quantise(&values, dims).unwrap();
        let cell = Cell::new(ids.iter().map(ItemId::new).collect(), rows).unwrap();
        prop_assert_eq!(Cell::from_bytes(&cell.to_bytes()).unwrap(), cell);
    }
}
