//! The search in cells of a large catalogue.

use std::collections::HashSet;

use futures_lite::future::block_on;
use tandem_model::{
    ItemTable, ModelError, QuantisedRow,
    cells::{Cell, CellEntry, CellId, CellIndex},
};
use tandem_protocol::{ErrorCode, ItemId};
use tandem_session::{
    DEFAULT_CELL_MEMORY, FIRST_CELLS, Ranked, RowStore, Session, SessionError, Settings,
};

use crate::support::{DIMS, ITEMS, give, id, row, scorer, session_with, settings, track, wire};

const CELLS: usize = 5;

/// The items in cells of eight, one after the other: the files and their index.
fn files() -> (CellIndex, Vec<Vec<u8>>) {
    let (mut entries, mut files) = (Vec::new(), Vec::new());
    let per_cell = ITEMS / CELLS;
    for cell in 0..CELLS {
        let members = cell * per_cell..(cell + 1) * per_cell;
        let rows: Vec<f32> = members.clone().flat_map(row).collect();
        let mean: Vec<f32> = (0..DIMS)
            .map(|dim| rows.chunks_exact(DIMS).map(|row| row[dim]).sum::<f32>() / per_cell as f32)
            .collect();
        let table = ItemTable::quantise(&rows, DIMS).unwrap();
        let file = Cell::new(members.map(id).collect(), table).unwrap().to_bytes();
        let centroid = QuantisedRow::quantise(&mean).unwrap();
        entries.push(CellEntry::new(centroid, per_cell as u32, &file));
        files.push(file);
    }
    (CellIndex::new(DIMS, entries).unwrap(), files)
}

fn with_cells(max_bytes: usize) -> (Session, Vec<Vec<u8>>) {
    let (index, files) = files();
    let rows = RowStore::with_cells(index, max_bytes);
    let settings = Settings { search_k: 10, ..settings() };
    let mut session = Session::new(scorer(), rows, settings).unwrap();
    // The row of the clicked item, as the server sends it.
    let rows = tandem_protocol::RowsResponse { rows: vec![wire(4)], ..Default::default() };
    track(&mut session, 4);
    session.accept_rows(&session.missing_rows(), &rows).unwrap();
    (session, files)
}

fn rank(session: &Session) -> Ranked {
    block_on(session.rank()).unwrap()
}

fn accept(session: &mut Session, files: &[Vec<u8>], ids: &[CellId]) {
    for id in ids {
        session.accept_cell(*id, &files[id.0 as usize]).unwrap();
    }
}

#[test]
fn with_all_cells_the_search_finds_what_the_whole_table_has() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    assert!(rank(&session).items.is_empty(), "no cell is here yet");
    let wanted = session.wanted_cells(CELLS).unwrap();
    assert_eq!(wanted.len(), CELLS);
    accept(&mut session, &files, &wanted);
    assert!(session.wanted_cells(CELLS).unwrap().is_empty());
    let mut whole = session_with(Settings { search_k: 10, ..settings() });
    track(&mut whole, 4);
    assert_eq!(rank(&session).items, rank(&whole).items);
    assert_eq!(session.similar(&id(9), 5), whole.similar(&id(9), 5));
    assert_eq!(session.cell_usage().0, CELLS);
}

#[test]
fn the_nearest_cells_are_wanted_first_and_searched() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    rank(&session);
    let all = session.wanted_cells(CELLS).unwrap();
    // All of these small cells are within `FIRST_BYTES`, and later within `MORE_BYTES`.
    assert_eq!(session.next_cells().unwrap(), all);
    let wanted = session.wanted_cells(2).unwrap();
    assert_eq!(wanted, all[..2]);
    accept(&mut session, &files, &wanted);
    let members: HashSet<ItemId> = wanted
        .iter()
        .flat_map(|cell| (0..ITEMS).filter(|item| item / 8 == cell.0 as usize))
        .map(id)
        .collect();
    let ranked = rank(&session);
    assert!(ranked.searched && ranked.items.iter().all(|item| members.contains(&item.item)));
    assert_eq!(ranked.items.len(), 10);
    assert_eq!(session.next_cells().unwrap(), all[2..]);
    let entry = session.cell(wanted[0]).unwrap();
    assert_eq!(entry.bytes as usize, files[wanted[0].0 as usize].len());
}

#[test]
fn no_more_cells_are_wanted_than_memory_has_room_for() {
    let (mut session, files) = with_cells(800);
    rank(&session);
    let all = session.wanted_cells(CELLS).unwrap();
    assert_eq!(session.next_cells().unwrap(), all[..FIRST_CELLS]);
    accept(&mut session, &files, &all[..1]);
    assert_eq!(session.next_cells().unwrap(), all[1..2]);
}

#[test]
fn a_damaged_or_unknown_cell_is_refused_and_the_session_goes_on() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    rank(&session);
    let wanted = session.wanted_cells(2).unwrap();
    accept(&mut session, &files, &wanted[..1]);
    let before = rank(&session);
    let mut flipped = files[wanted[1].0 as usize].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let error = session.accept_cell(wanted[1], &flipped).unwrap_err();
    assert!(matches!(error, SessionError::Model(ModelError::Integrity { .. })));
    assert_eq!(error.code(), ErrorCode::Integrity);
    let error = session.accept_cell(CellId(99), &files[0]).unwrap_err();
    assert!(matches!(error, SessionError::Model(ModelError::UnknownCell { .. })));
    assert_eq!(rank(&session), before);
    assert_eq!(session.wanted_cells(2).unwrap(), wanted[1..]);

    let mut without = crate::support::session();
    assert!(matches!(without.accept_cell(CellId(0), &files[0]), Err(SessionError::NoCells)));
    assert!(without.wanted_cells(3).unwrap().is_empty());
}

#[test]
fn the_least_recently_used_cell_is_dropped_and_wanted_again() {
    // Room for two cells.
    let (mut probe, files) = with_cells(DEFAULT_CELL_MEMORY);
    accept(&mut probe, &files, &[CellId(0)]);
    let size = probe.cell_usage().1;
    let (mut session, files) = with_cells(size * 2 + size / 2);
    rank(&session);
    let wanted = session.wanted_cells(3).unwrap();
    accept(&mut session, &files, &wanted[..2]);
    // The nearest cell is used; then a third one takes the place of the other.
    assert!(session.wanted_cells(1).unwrap().is_empty());
    accept(&mut session, &files, &wanted[2..]);
    assert!(session.cell_usage().1 <= size * 2 + size / 2);
    assert_eq!(session.wanted_cells(3).unwrap(), [wanted[1]]);
    accept(&mut session, &files, &wanted[1..2]);
    assert_eq!(session.cell_usage().0, 2);
    // Accepting a cell twice does not count it twice.
    accept(&mut session, &files, &wanted[1..2]);
    assert_eq!(session.cell_usage().0, 2);
}

#[test]
fn a_clicked_items_row_stays_when_its_cell_is_dropped() {
    let (mut session, files) = with_cells(1); // room for one cell
    accept(&mut session, &files, &[CellId(1)]);
    track(&mut session, 10); // in cell 1
    assert!(session.missing_rows().is_empty());
    check_row_of_item_10_stays(session, &files);
}

#[test]
fn a_row_that_arrives_in_a_cell_after_the_click_stays_when_the_cell_is_dropped() {
    let (mut session, files) = with_cells(1);
    track(&mut session, 10);
    assert_eq!(session.missing_rows(), [id(10)]);
    accept(&mut session, &files, &[CellId(1)]);
    assert!(session.missing_rows().is_empty());
    check_row_of_item_10_stays(session, &files);
}

/// After clicks on items 4 and 10, the row of item 10 outlives its cell.
fn check_row_of_item_10_stays(mut session: Session, files: &[Vec<u8>]) {
    accept(&mut session, files, &[CellId(3)]);
    assert_eq!(session.cell_usage().0, 1);
    assert!(session.missing_rows().is_empty());
    let mut whole = session_with(settings());
    for item in [4, 10] {
        track(&mut whole, item);
    }
    give(&mut whole, 24..32, 0.0);
    let expected = rank(&whole);
    for item in rank(&session).items {
        let same = expected.items.iter().find(|other| other.item == item.item);
        assert_eq!(same.unwrap().srm_score, item.srm_score);
    }
}

#[test]
fn a_list_beside_cells_counts_no_item_twice() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    accept(&mut session, &files, &[CellId(0), CellId(2)]);
    let (request, ticket) = session.begin_request(None, 0.0);
    assert!(request.rows, "the device does not have all rows");
    let mut list = crate::support::response(14..22);
    for (candidate, item) in list.candidates.iter_mut().zip(14..22) {
        candidate.row = Some(wire(item).row);
    }
    session.accept(ticket, list, 0.0).unwrap();
    let ranked = rank(&session);
    let distinct: HashSet<&ItemId> = ranked.items.iter().map(|item| &item.item).collect();
    assert_eq!(distinct.len(), ranked.items.len());
    assert_eq!(ranked.items.iter().filter(|item| item.listed).count(), 8);
    assert!(ranked.items.len() > 8);
}

#[test]
fn an_index_of_another_width_than_the_model_is_refused() {
    let cell = Cell::new(vec![id(0)], ItemTable::quantise(&[0.5; DIMS + 1], DIMS + 1).unwrap());
    let centroid = QuantisedRow::quantise_to_4_bits(&[0.5; DIMS + 1]).unwrap();
    let entry = CellEntry::new(centroid, 1, &cell.unwrap().to_bytes());
    let rows = RowStore::with_cells(CellIndex::new(DIMS + 1, vec![entry]).unwrap(), 1 << 20);
    let error = Session::new(scorer(), rows, settings()).unwrap_err();
    let width = ModelError::Length { what: "dimensions", expected: DIMS, found: DIMS + 1 };
    assert_eq!(error.code(), SessionError::Model(width).code(), "{error}");
    let text = error.to_string();
    assert!(text.contains(&DIMS.to_string()) && text.contains(&(DIMS + 1).to_string()), "{text}");
}

#[test]
fn a_search_beyond_the_cells_ends_with_what_they_have() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    accept(&mut session, &files, &[CellId(1), CellId(3)]);
    // 16 items are here, and the row of the clicked one.
    let all = block_on(session.rank_deeper(10_000)).unwrap();
    assert_eq!((all.items.len(), all.exhausted), (16, true));
}

#[test]
fn a_filter_that_no_item_in_the_cells_passes_leaves_nothing_and_the_session_goes_on() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    accept(&mut session, &files, &[CellId(1)]);
    session.set_available(Some([id(39)].into()));
    let nothing = block_on(session.rank_deeper(100)).unwrap();
    assert_eq!((nothing.items.len(), nothing.exhausted), (0, true));
    session.set_available(None);
    assert_eq!(rank(&session).items.len(), 8);
}

/// The server's answer to a request for these rows.
fn answer(items: impl IntoIterator<Item = usize>) -> tandem_protocol::RowsResponse {
    tandem_protocol::RowsResponse {
        rows: items.into_iter().map(wire).collect(),
        ..Default::default()
    }
}

/// Ranks and shows the ranking.
fn show(session: &mut Session) -> Ranked {
    let ranked = rank(session);
    session.record_shown(&ranked);
    ranked
}

#[test]
fn rows_of_available_items_in_other_cells_are_requested_and_fill_the_list() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    show(&mut session);
    let near = session.wanted_cells(CELLS).unwrap();
    accept(&mut session, &files, &near[..1]);
    let far: Vec<usize> = (0..ITEMS).filter(|item| item / 8 == near[4].0 as usize).collect();
    let allowed: HashSet<ItemId> = far[..6].iter().map(|item| id(*item)).collect();
    session.set_available(Some(allowed.clone()));
    assert!(show(&mut session).items.is_empty());

    let missing = session.missing_available(200);
    assert_eq!(missing.iter().cloned().collect::<HashSet<_>>(), allowed);
    assert_eq!(session.missing_available(4), missing[..4]);
    assert!(session.missing_rows().is_empty(), "they are no history");
    // The server does not have the last of them.
    let known: Vec<usize> =
        far[..6].iter().copied().filter(|item| id(*item) != missing[5]).collect();
    session.accept_available_rows(&missing, &answer(known.iter().copied())).unwrap();
    assert_eq!(show(&mut session).items.len(), 5);
    assert!(session.missing_available(200).is_empty(), "each is requested once");

    // They are ranked as by a device that has all rows.
    let mut whole = session_with(Settings { search_k: 10, ..settings() });
    track(&mut whole, 4);
    whole.set_available(Some(known.iter().map(|item| id(*item)).collect()));
    assert_eq!(rank(&session).items, rank(&whole).items);
}

#[test]
fn no_rows_of_available_items_are_requested_for_a_full_ranking_or_without_a_history() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    show(&mut session);
    let near = session.wanted_cells(2).unwrap();
    accept(&mut session, &files, &near);
    session.set_available(Some((0..ITEMS).map(id).collect()));
    assert_eq!(show(&mut session).items.len(), 10);
    assert!(session.missing_available(200).is_empty(), "as many as the search adds");
    session.reset();
    show(&mut session);
    assert!(session.missing_available(200).is_empty());
}

#[test]
fn rows_that_cannot_be_had_are_given_up() {
    let (mut session, _) = with_cells(DEFAULT_CELL_MEMORY);
    session.set_available(Some([id(20), id(21)].into()));
    show(&mut session);
    session.give_up_available_rows(&[id(20)]);
    assert_eq!(session.missing_available(200), [id(21)]);
    assert!(!session.is_unknown(&id(20)), "a click on it still counts");
}

#[test]
fn further_cells_are_the_next_nearest_until_all_are_here() {
    let (mut session, files) = with_cells(DEFAULT_CELL_MEMORY);
    show(&mut session);
    let near = session.wanted_cells(CELLS).unwrap();
    accept(&mut session, &files, &near[..1]);
    assert_eq!(session.further_cells(|_| true).unwrap(), near[1..], "these are small");
    assert_eq!(session.further_cells(|cell| cell != near[1]).unwrap(), near[2..]);
    // All available items are here: no cell has another one.
    let here: HashSet<ItemId> =
        (0..ITEMS).filter(|item| item / 8 == near[0].0 as usize).map(id).collect();
    session.set_available(Some(here));
    assert!(session.further_cells(|_| true).unwrap().is_empty());
    session.set_available(None);
    accept(&mut session, &files, &near[1..]);
    assert!(session.further_cells(|_| true).unwrap().is_empty());
}

#[test]
fn further_cells_stay_within_the_memory_for_cells() {
    let (mut session, files) = with_cells(0);
    let bytes = files.iter().map(Vec::len).max().unwrap();
    show(&mut session);
    assert!(session.further_cells(|_| true).unwrap().is_empty());
    let (mut session, _) = with_cells(bytes * 8 * 2);
    show(&mut session);
    let near = session.wanted_cells(CELLS).unwrap();
    assert_eq!(session.further_cells(|_| true).unwrap(), near[..2]);
}
