use proptest::prelude::*;

use super::*;

/// The best rows by scoring all of them, as the scorer does, and sorting.
fn brute_force(
    table: &ItemTable,
    query: &[f32],
    k: usize,
    allowed: impl Fn(usize) -> bool,
) -> Vec<(usize, f32)> {
    let mut scored: Vec<(usize, f32)> = (0..table.len())
        .filter(|position| allowed(*position))
        .filter_map(|position| Some((position, table.row(position)?.ok()?)))
        .map(|(position, row)| (position, dot(query, &row.values().collect::<Vec<f32>>())))
        .collect();
    // Stable: equal scores stay in the order of their positions.
    scored.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
    scored.truncate(k);
    scored
}

fn places(hits: &[Hit]) -> Vec<(usize, f32)> {
    hits.iter().map(|hit| (hit.position, hit.score)).collect()
}

/// A table whose rows have a scale of 1 and these values.
fn exact_table(rows: &[&[i8]]) -> ItemTable {
    let dims = rows[0].len();
    let mut bytes = (rows.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&(dims as u32).to_le_bytes());
    for row in rows {
        bytes.extend_from_slice(&1.0_f32.to_le_bytes());
        bytes.extend(row.iter().map(|value| value.cast_unsigned()));
    }
    ItemTable::from_bytes(bytes).unwrap()
}

#[test]
fn the_best_rows_come_first_and_ties_by_position() {
    let table = exact_table(&[&[1, 0], &[0, 3], &[4, 0], &[1, 0], &[-5, 1]]);
    // Scores 2, 1.5, 8, 2, −9.5.
    let hits = table.top_k(&[2.0, 0.5], 4, |_| true).unwrap();
    assert_eq!(places(&hits), [(2, 8.0), (0, 2.0), (3, 2.0), (1, 1.5)]);
    let hits = table.top_k(&[2.0, 0.5], 2, |position| position != 2).unwrap();
    assert_eq!(places(&hits), [(0, 2.0), (3, 2.0)]);
}

#[test]
fn fewer_rows_than_k_are_all_found() {
    let table = exact_table(&[&[1], &[-128], &[127]]);
    let hits = table.top_k(&[1.0], 50, |_| true).unwrap();
    assert_eq!(places(&hits), [(2, 127.0), (0, 1.0), (1, -128.0)]);
    assert_eq!(table.top_k(&[1.0], 0, |_| true), Ok(vec![]));
    assert_eq!(table.top_k(&[1.0], usize::MAX, |_| false), Ok(vec![]));
}

#[test]
fn a_query_of_zeros_finds_the_first_rows() {
    let rows: Vec<[i8; 1]> = (0..100).map(|value| [value]).collect();
    let rows: Vec<&[i8]> = rows.iter().map(<[i8; 1]>::as_slice).collect();
    let hits = exact_table(&rows).top_k(&[0.0], 3, |position| position > 4).unwrap();
    assert_eq!(places(&hits), [(5, 0.0), (6, 0.0), (7, 0.0)]);
}

#[test]
fn rows_that_differ_by_less_than_the_rounding_of_the_query_are_told_apart() {
    // In units of 1/32767 the second value of the query rounds to 0.
    let table = exact_table(&[&[100, 1], &[100, 3], &[100, 2], &[99, 127]]);
    let hits = table.top_k(&[1.0, 1.2e-5], 3, |_| true).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.position).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn damaged_rows_are_not_found() {
    let mut bytes = exact_table(&[&[1, 1], &[2, 2], &[3, 3]]).as_bytes().to_vec();
    for (row, scale) in [(1, f32::NAN), (2, f32::INFINITY)] {
        bytes[8 + row * 6..][..4].copy_from_slice(&scale.to_le_bytes());
    }
    let table = ItemTable::from_bytes(bytes).unwrap();
    assert_eq!(places(&table.top_k(&[1.0, 1.0], 3, |_| true).unwrap()), [(0, 2.0)]);
    let rows = [3e38, 3e38, 1.0, 1.0, 0.5, 0.5, -3e38, 3e38, 0.2, 0.2];
    let overflowing = ItemTable::quantise(&rows, 2).unwrap();
    let hits = overflowing.top_k(&[2.0, 2.0], 2, |_| true).unwrap();
    // The fourth row's products overflow, but their sum in f32 is no number.
    assert_eq!(hits.iter().map(|hit| hit.position).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn queries_that_cannot_be_searched_for_are_refused() {
    let table = exact_table(&[&[1, 1]]);
    assert_eq!(
        table.top_k(&[1.0], 1, |_| true),
        Err(ModelError::Length { what: "dimensions of the searched rows", expected: 1, found: 2 })
    );
    assert!(matches!(table.top_k(&[], 1, |_| true), Err(ModelError::Empty(_))));
    for value in [f32::NAN, f32::INFINITY] {
        let found = table.top_k(&[1.0, value], 1, |_| true);
        assert!(matches!(found, Err(ModelError::NotFinite { .. })));
    }
}

#[test]
fn tables_and_offered_rows_are_searched_together() {
    let (first, second) = (exact_table(&[&[3], &[1]]), exact_table(&[&[2], &[3]]));
    let query = [1.0];
    let mut search = Search::new(&query, 4).unwrap();
    assert_eq!(search.scan(&first, |position| position != 1), Ok(0));
    assert_eq!(search.scan(&second, |_| true), Ok(1));
    // The row at 1 of the first table has a delta.
    search.offer(0, 1, &[2.5]);
    search.offer(7, 7, &[f32::NAN]);
    let hits: Vec<_> =
        search.finish().iter().map(|hit| (hit.table, hit.position, hit.score)).collect();
    assert_eq!(hits, [(0, 0, 3.0), (1, 1, 3.0), (0, 1, 2.5), (1, 0, 2.0)]);
}

#[test]
fn a_large_table_of_equal_rows_is_searched() {
    let table = ItemTable::quantise(&vec![0.5; 20_000], 2).unwrap();
    let hits = table.top_k(&[1.0, -0.25], 100, |position| position % 2 == 1).unwrap();
    let positions: Vec<usize> = hits.iter().map(|hit| hit.position).collect();
    assert_eq!(positions, (0..100).map(|at| 2 * at + 1).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_search_equals_scoring_all_rows(
        dims in prop::sample::select(vec![1_usize, 3, 8, 16, 17, 40]),
        seeds in prop::collection::vec(-1.0_f32..1.0, 700),
        // Few distinct magnitudes make many equal rows.
        coarse in any::<bool>(),
        k in 0_usize..40,
        modulus in 1_usize..5,
        query in prop::collection::vec(-3.0_f32..3.0, 40),
    ) {
        let items = seeds.len() / dims;
        let values: Vec<f32> = seeds[..items * dims]
            .iter()
            .map(|value| if coarse { value.round() } else { *value })
            .collect();
        let table = ItemTable::quantise(&values, dims).unwrap();
        let allowed = |position: usize| position.is_multiple_of(modulus);
        let found = table.top_k(&query[..dims], k, allowed).unwrap();
        prop_assert_eq!(places(&found), brute_force(&table, &query[..dims], k, allowed));
    }

    #[test]
    fn one_scan_of_all_rows_equals_scans_of_parts(
        values in prop::collection::vec(-1.0_f32..1.0, 40..400),
        cut in any::<prop::sample::Index>(),
        k in 1_usize..20,
    ) {
        let items = values.len() / 4;
        let values = &values[..items * 4];
        let cut = 1 + cut.index(items - 1);
        let whole = ItemTable::quantise(values, 4).unwrap();
        let parts = [&values[..cut * 4], &values[cut * 4..]]
            .map(|part| ItemTable::quantise(part, 4).unwrap());
        let query = [0.3, -1.0, 0.7, 0.1];
        let mut search = Search::new(&query, k).unwrap();
        for part in &parts {
            search.scan(part, |_| true).unwrap();
        }
        let found: Vec<(usize, f32)> = search
            .finish()
            .iter()
            .map(|hit| (hit.position + hit.table * cut, hit.score))
            .collect();
        prop_assert_eq!(found, places(&whole.top_k(&query, k, |_| true).unwrap()));
    }
}

#[test]
fn a_search_by_cosine_ignores_the_lengths_of_rows() {
    // Rows of length 5, 0.1 and 0 in the directions 0°, 45° and none.
    let table = ItemTable::quantise(&[5.0, 0.0, 0.07, 0.07, 0.0, 0.0], 2).unwrap();
    let query = [1.0, 0.5];
    let mut search = Search::cosine(&query, 3).unwrap();
    search.scan(&table, |_| true).unwrap();
    search.offer(7, 0, &[-2.0, -1.0]);
    search.offer(7, 1, &[4.0, 2.0]);
    let hits = search.finish();
    let places: Vec<_> = hits.iter().map(|hit| (hit.table, hit.position)).collect();
    assert_eq!(places, [(7, 1), (0, 1), (0, 0)]);
    let expected = [1.0, 1.5 / 2.5_f32.sqrt(), 1.0 / 1.25_f32.sqrt()];
    for (hit, expected) in hits.iter().zip(expected) {
        assert!((hit.score - expected).abs() < 1e-5, "{hit:?} is not {expected}");
    }
}

proptest! {
    #[test]
    fn a_search_by_cosine_finds_the_rows_that_sorting_finds(
        rows in prop::collection::vec(prop::collection::vec(-3.0_f32..3.0, 4), 1..60),
        query in prop::collection::vec(-2.0_f32..2.0, 4),
        k in 1_usize..20,
    ) {
        let table = ItemTable::quantise(&rows.concat(), 4).unwrap();
        let mut search = Search::cosine(&query, k).unwrap();
        search.scan(&table, |_| true).unwrap();
        let found = search.finish();
        let mut all: Vec<Hit> = (0..rows.len())
            .map(|position| {
                let row: Vec<f32> = table.row(position).unwrap().unwrap().values().collect();
                Hit { table: 0, position, score: exact_score(&query, &row, true) }
            })
            .collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.position.cmp(&b.position)));
        all.truncate(k);
        prop_assert_eq!(found, all);
    }
}
