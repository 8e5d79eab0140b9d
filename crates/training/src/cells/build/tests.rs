use proptest::prelude::*;
use tandem_model::cells::CellId;

use super::*;

/// Rows around `groups` directions, of different lengths.
fn table(items: usize, groups: usize) -> ItemTable {
    let rows: Vec<f32> = (0..items)
        .flat_map(|at| {
            let angle = (at % groups) as f32 + 0.1 * (at as f32).sin();
            let length = 1.0 + (at % 5) as f32;
            [length * angle.cos(), length * angle.sin(), 0.2 * (at as f32 * 0.7).cos()]
        })
        .collect();
    ItemTable::quantise(&rows, 3).unwrap()
}

fn ids(items: usize) -> Vec<ItemId> {
    (0..items).map(|at| at.to_string().as_str().into()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_item_is_in_one_cell_with_its_row(
        items in 1_usize..300, groups in 1_usize..7, max_bytes in 40_usize..900, seed in 0_u64..9,
    ) {
        let table = table(items, groups);
        let ids = ids(items);
        let rows = CellRows::EightBits;
        let config = CellsConfig { max_bytes, rows, seed, ..CellsConfig::default() };
        let cells = build_cells(&ids, &table, &[1.0, 0.0, 0.0, -1.0, 0.5, 0.0], &config).unwrap();
        let mut seen = vec![0; items];
        for (at, file) in cells.files.iter().enumerate() {
            let cell = cells.index.open(CellId(at as u32), file).unwrap();
            prop_assert!(file.len() <= max_bytes || cell.ids().len() == 1, "{}", file.len());
            prop_assert_eq!(cell.ids().len(), cells.items[at].len());
            for (place, id) in cell.ids().iter().enumerate() {
                let item = cells.items[at][place] as usize;
                prop_assert_eq!(id, &ids[item]);
                prop_assert_eq!(cell.rows().row(place), table.row(item));
                seen[item] += 1;
            }
        }
        prop_assert!(seen.iter().all(|times| *times == 1), "{:?}", seen);
        let read = CellIndex::from_bytes(&cells.index.to_bytes()).unwrap();
        prop_assert_eq!(read, cells.index);
    }
}

#[test]
fn rows_of_5_bits_are_near_those_of_the_table() {
    let table = table(50, 3);
    let config = CellsConfig { rows: CellRows::FiveBits, ..CellsConfig::default() };
    let ids = ids(50);
    let cells = build_cells(&ids, &table, &[], &config).unwrap();
    let largest = table.values().unwrap().iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    for (at, items) in (0..).zip(&cells.items) {
        let cell = cells.index.open(CellId(at), &cells.files[at as usize]).unwrap();
        for (place, item) in items.iter().enumerate() {
            assert_eq!(cell.ids()[place], ids[*item as usize]);
            let values = |row: Option<Result<QuantisedRow, ModelError>>| -> Vec<f32> {
                row.unwrap().unwrap().values().collect()
            };
            let (found, exact) =
                (values(cell.rows().row(place)), values(table.row(*item as usize)));
            for (found, exact) in found.iter().zip(&exact) {
                assert!((found - exact).abs() <= largest / 14.0, "{found} {exact}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let build = || {
        let config = CellsConfig { max_bytes: 500, ..CellsConfig::default() };
        build_cells(&ids(200), &table(200, 6), &[0.3, 0.9, 0.0], &config).unwrap().files
    };
    assert_eq!(build(), build());
}

#[test]
fn the_vector_of_a_cell_is_as_long_as_its_long_rows() {
    // 100 rows along (1, 0) of lengths 1 to 100: the 95th percentile is at index 94.
    let rows: Vec<f32> = (1..=100).flat_map(|length| [length as f32, 0.0]).collect();
    let members: Vec<u32> = (0..100).collect();
    assert_eq!(cell_vector(&rows, 2, &members), [95.0, 0.0]);
    assert_eq!(cell_vector(&[0.0, 0.0], 2, &[0]), [0.0, 0.0]);
}

#[test]
fn the_number_of_cells_balances_index_and_cells() {
    // 64 dims: an entry has 32 + 44 bytes. 2·760000/76 = 20000, its root is 141.4.
    assert_eq!(cell_count(760_000, 64, 2), 142);
    assert_eq!(cell_count(1, 64, 1), 1);
}

#[test]
fn cells_that_no_query_needs_are_merged_until_they_are_full() {
    // Six directions, of which the queries need the first. An item takes 2 + id + 4 + 3 bytes.
    let config = CellsConfig { max_bytes: 600, probes: 30, ..CellsConfig::default() };
    let queries = [1.0, 0.0, 0.0].repeat(16);
    let cells = build_cells(&ids(600), &table(600, 6), &queries, &config).unwrap();
    let total: usize = cells.files.iter().map(Vec::len).sum();
    assert!(cells.files.iter().all(|file| file.len() <= 600));
    let fill = total as f64 / (600 * cells.files.len()) as f64;
    assert!(fill > 0.7, "{fill} of {} files", cells.files.len());
    // A packed index: 2 + 44 bytes per cell.
    assert_eq!(cells.index.to_bytes().len(), 20 + 46 * cells.files.len());
}

#[test]
fn unusable_input_is_refused() {
    let config = CellsConfig::default();
    let error = build_cells(&ids(3), &table(4, 2), &[], &config).unwrap_err();
    assert!(matches!(error, ModelError::Length { expected: 4, found: 3, .. }), "{error}");
    let error = build_cells(&ids(4), &table(4, 2), &[1.0], &config).unwrap_err();
    assert!(matches!(error, ModelError::Length { expected: 3, found: 1, .. }), "{error}");
    let nothing = ItemTable::quantise(&[], 3).unwrap();
    let error = build_cells(&[], &nothing, &[], &config).unwrap_err();
    assert_eq!(error, ModelError::Empty("the item table"));
    let nan = [f32::NAN, 0.0, 0.0];
    let error = build_cells(&ids(4), &table(4, 2), &nan, &config).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { .. }), "{error}");
    let mut bytes = table(4, 2).as_bytes().to_vec();
    bytes[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
    let damaged = ItemTable::from_bytes(bytes).unwrap();
    let error = build_cells(&ids(4), &damaged, &[], &config).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { .. }), "{error}");
}
