//! The device searches the catalogue: the whole table, or cells.

use tandem_model::{
    CountRows, QuantisedRow,
    cells::{Cell, CellEntry, CellIndex},
};
use tandem_protocol::{Counts, ItemCounts, ItemRow, NearItem, RowsResponse, SearchConfig};
use tandem_session::encode_row;

use super::*;
use crate::update::Fetched;

/// Items of each cell: consecutive ones.
const CELL: usize = 6;

/// A catalogue whose whole table is searched; `popular` are the last items.
fn whole_shop() -> Script {
    shop_with(|manifest, _| {
        manifest.search = Some(SearchConfig { k: 10, cells: None });
        manifest.popular = (20..ITEMS).map(item).collect();
    })
}

/// A catalogue in cells, without its item table.
fn cell_shop() -> Script {
    cell_shop_with(None)
}

/// As [`cell_shop`], with counts in the manifest.
fn cell_shop_with(counts: Option<Counts>) -> Script {
    let script = shop_with(|manifest, files| {
        manifest.counts = counts;
        let values = row_values();
        let cells = values.chunks(CELL * DIMS).enumerate().map(|(number, rows)| {
            let ids = (number * CELL..(number + 1) * CELL).map(item).collect();
            let cell = Cell::new(ids, ItemTable::quantise(rows, DIMS).unwrap()).unwrap();
            let mean = |dim| rows.iter().skip(dim).step_by(DIMS).sum::<f32>() / CELL as f32;
            let centroid: Vec<f32> = (0..DIMS).map(mean).collect();
            let file = cell.to_bytes();
            let centroid = QuantisedRow::quantise(&centroid).unwrap();
            let entry = CellEntry::new(centroid, CELL as u32, &file);
            files.insert(entry.path(), file);
            entry
        });
        let index = CellIndex::new(DIMS, cells.collect()).unwrap().to_bytes();
        manifest.search = Some(SearchConfig { k: 10, cells: Some(artifact("cells.bin", &index)) });
        manifest.popular = vec![item(3)];
        files.insert("cells.bin".into(), index);
    });
    script.files.borrow_mut().retain(|path, _| !path.ends_with("rows.bin"));
    script
}

/// SHA-256 of the item table.
fn rows_hash() -> String {
    sha256(ItemTable::quantise(&row_values(), DIMS).unwrap().as_bytes())
}

/// The server's response to a request for the rows of these items.
fn rows(items: &[usize]) -> HttpResponse {
    response(items, Vec::new())
}

fn response(items: &[usize], counts: Vec<ItemCounts>) -> HttpResponse {
    let rows = items.iter().map(|number| row(*number)).collect();
    let response = RowsResponse { rows_hash: rows_hash(), rows, counts, unknown: 0 };
    ok(serde_json::to_vec(&response).unwrap())
}

/// The row of an item as the server sends it.
fn row(number: usize) -> ItemRow {
    let row = QuantisedRow::quantise(&row_values()[number * DIMS..][..DIMS]).unwrap();
    encode_row(item(number), &row)
}

/// The server's response with the row of an item and its one neighbour, the item after it.
fn row_and_counts(number: usize) -> HttpResponse {
    let near = row(number + 1);
    let near = NearItem { item: near.item, weight: 1.0, row: Some(near.row) };
    response(&[number], vec![ItemCounts { item: item(number), near: vec![near] }])
}

fn fetch(engine: &Engine<Script>) -> Fetched {
    block_on(engine.fetch_missing()).unwrap()
}

/// An engine after a click on item 2, whose row has arrived.
fn after_a_click(script: &Script) -> Engine<Script> {
    let engine = open(script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    let fetched = fetch(&engine);
    assert!(fetched.errors.is_empty() && fetched.update.is_some() && fetched.more);
    assert!(fetched.rows);
    assert!(script.asked.borrow()[0].contains(r#""items":["i2"]"#));
    script.asked.borrow_mut().clear();
    engine
}

fn cell_requests(script: &Script) -> usize {
    script.asked.borrow().iter().filter(|path| path.contains("/cells/")).count()
}

#[test]
fn without_a_list_there_are_popular_items_and_then_the_devices_own() {
    let script = whole_shop();
    let engine = open(&script);
    let first = block_on(engine.recommend()).unwrap();
    assert_eq!((first.items[0].item.clone(), first.searched), (item(20), false));
    engine.set_offline(true);
    let own = track(&engine, 5);
    assert!(own.searched && own.items.len() >= 10);
    assert!(own.items.iter().all(|found| !found.listed && found.item != item(5)));
    assert!(script.asked.borrow().is_empty());
}

/// A catalogue whose whole table is searched, with counts: item `n + 1` was chosen near item `n`.
fn counted_shop() -> Script {
    shop_with(|manifest, files| {
        let rows: Vec<Vec<(u32, f32)>> =
            (1..=ITEMS).map(|next| vec![((next % ITEMS) as u32, 1.0)]).collect();
        let rows = CountRows::new(&rows).unwrap().as_bytes().to_vec();
        manifest.search = Some(SearchConfig { k: 10, cells: None });
        manifest.counts = Some(Counts { rows: artifact("counts.bin", &rows), weight: 100.0 });
        files.insert("counts.bin".into(), rows);
    })
}

fn counts_requests(script: &Script) -> usize {
    script.asked.borrow().iter().filter(|path| path.ends_with("counts.bin")).count()
}

#[test]
fn counts_are_fetched_once_when_there_is_a_history_and_rank_from_then_on() {
    let script = counted_shop();
    let engine = open(&script);
    assert!(fetch(&engine).update.is_none(), "nothing to count near");
    let before = track(&engine, 5);
    assert_eq!(counts_requests(&script), 0, "a click does not wait for them");
    assert_ne!(before.items[0].item, item(6));
    let fetched = fetch(&engine);
    assert!(fetched.errors.is_empty());
    assert_eq!(fetched.update.unwrap().items[0].item, item(6));
    assert_eq!(track(&engine, 11).items[0].item, item(12));
    assert!(fetch(&engine).update.is_none());
    assert_eq!(counts_requests(&script), 1);
}

#[test]
fn damaged_counts_are_reported_once_and_not_used() {
    let script = counted_shop();
    for (path, file) in script.files.borrow_mut().iter_mut() {
        if path.ends_with("counts.bin") {
            file.body[9] ^= 1;
        }
    }
    let engine = open(&script);
    track(&engine, 5);
    let fetched = fetch(&engine);
    assert_eq!(fetched.errors.len(), 1);
    assert_eq!(fetched.errors[0].code, ErrorCode::Integrity);
    assert!(fetched.update.is_none() && fetch(&engine).errors.is_empty());
    assert_eq!(counts_requests(&script), 1);
}

fn counts_in_cells() -> Counts {
    Counts { rows: artifact("counts.bin", b"not loaded"), weight: 100.0 }
}

#[test]
fn in_cells_the_server_sends_what_was_chosen_near_clicked_items() {
    let script = cell_shop_with(Some(counts_in_cells()));
    let engine = open(&script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(row_and_counts(2)));
    let fetched = fetch(&engine);
    assert!(fetched.errors.is_empty(), "{:?}", fetched.errors);
    assert_eq!(fetched.update.unwrap().items[0].item, item(3), "before any cell is here");
    assert!(script.asked.borrow()[0].contains(r#""items":["i2"],"counts":["i2"]"#));
    fetch(&engine);
    assert_eq!(cell_requests(&script), ITEMS / CELL);
    script.asked.borrow_mut().clear();
    // Its row is here, its neighbours are not.
    track(&engine, 9);
    script.lists.borrow_mut().push_back(Ok(row_and_counts(9)));
    assert_eq!(fetch(&engine).update.unwrap().items[0].item, item(10));
    assert!(script.asked.borrow()[0].contains(r#""items":[],"counts":["i9"]"#));
    assert_eq!(counts_requests(&script), 0, "the file of all counts is not loaded");
}

#[test]
fn a_server_that_refuses_counts_is_asked_for_rows_alone() {
    let script = cell_shop_with(Some(counts_in_cells()));
    let engine = open(&script);
    track(&engine, 2);
    let refusal = HttpResponse { status: 400, ..HttpResponse::default() };
    script.lists.borrow_mut().push_back(Ok(refusal));
    assert_eq!(fetch(&engine).errors.len(), 1);
    script.asked.borrow_mut().clear();
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    assert!(fetch(&engine).rows);
    assert!(script.asked.borrow()[0].contains(r#""items":["i2"]"#));
    assert!(!script.asked.borrow()[0].contains("counts"));
}

#[test]
fn the_page_can_switch_the_counts_off() {
    let script = cell_shop_with(Some(counts_in_cells()));
    let engine = open_as(&script, r#""counts":false"#).unwrap_or_else(|e| panic!("{e}"));
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    fetch(&engine);
    assert!(!script.asked.borrow()[0].contains("counts"));
    let script = counted_shop();
    let engine = open_as(&script, r#""counts":false"#).unwrap_or_else(|e| panic!("{e}"));
    track(&engine, 5);
    assert!(fetch(&engine).update.is_none());
    assert_eq!(counts_requests(&script), 0);
}

#[test]
fn the_page_can_switch_the_search_off() {
    let engine = open_as(&whole_shop(), r#""search":"off""#).unwrap_or_else(|e| panic!("{e}"));
    let update = track(&engine, 5);
    assert!(!update.searched);
    let engine = open_as(&shop(), r#""search":"whole""#).unwrap_or_else(|e| panic!("{e}"));
    assert!(track(&engine, 5).searched, "also for an old manifest");
}

#[test]
fn a_longer_ranking_reaches_every_item_that_is_available() {
    let engine = open(&whole_shop());
    track(&engine, 5);
    let deeper = block_on(engine.rank_deeper(400)).unwrap();
    assert_eq!((deeper.items.len(), deeper.exhausted), (ITEMS - 1, true));
    // Nine of ten are sold out.
    let stock = vec![item(3), item(13), item(23)];
    let update = block_on(engine.set_available(Some(stock.clone()))).unwrap();
    assert_eq!(update.items.len(), 3);
    let update = block_on(engine.set_excluded(vec![item(13)], false)).unwrap();
    assert!(update.items.iter().all(|found| found.item != item(13)));
    assert_eq!(update.items.len(), 2);
}

#[test]
fn cells_near_the_visitor_are_fetched_and_searched() {
    let script = cell_shop();
    let engine = after_a_click(&script);
    let before = block_on(engine.recommend()).unwrap().items.len();
    let fetched = fetch(&engine);
    assert!(!fetched.rows, "only cells");
    let update = fetched.update.unwrap();
    assert_eq!(cell_requests(&script), ITEMS / CELL);
    assert!(update.searched && update.items.len() > before);
    // They are here now: nothing more to fetch.
    assert!(fetch(&engine).update.is_none());
    assert_eq!(cell_requests(&script), ITEMS / CELL);
}

#[test]
fn a_damaged_or_missing_cell_is_reported_once_and_the_others_are_used() {
    type Damage = fn(&mut HttpResponse);
    let cases: [(ErrorCode, Damage); 2] = [
        (ErrorCode::Integrity, |response| *response.body.last_mut().unwrap() ^= 1),
        (ErrorCode::NotFound, |response| {
            *response = HttpResponse { status: 404, ..HttpResponse::default() }
        }),
    ];
    for (code, damage) in cases {
        let script = cell_shop();
        let engine = after_a_click(&script);
        let wanted = block_on(engine.session.lock()).wanted_cells(1).unwrap();
        let path = block_on(engine.session.lock()).cell(wanted[0]).unwrap().path();
        for (name, response) in script.files.borrow_mut().iter_mut() {
            if name.ends_with(&path) {
                damage(response);
            }
        }
        let before = block_on(engine.recommend()).unwrap().items.len();
        let fetched = fetch(&engine);
        let codes: Vec<ErrorCode> = fetched.errors.iter().map(|error| error.code).collect();
        assert_eq!(codes, [code]);
        assert!(fetched.errors[0].message.contains("cells/"), "{}", fetched.errors[0].message);
        assert!(fetched.update.unwrap().items.len() > before);
        script.asked.borrow_mut().clear();
        let again = fetch(&engine);
        assert!(again.errors.is_empty());
        assert!(script.asked.borrow().iter().all(|asked| !asked.ends_with(&path)));
    }
}

#[test]
fn a_damaged_index_is_refused_at_opening() {
    let script = cell_shop();
    for (path, response) in script.files.borrow_mut().iter_mut() {
        if path.ends_with("cells.bin") {
            response.body[9] ^= 1;
        }
    }
    let error = try_open(&script).err().unwrap();
    assert_eq!(error.code, ErrorCode::Integrity);
    assert!(error.message.contains("cells.bin"));
}

#[test]
fn without_a_network_the_session_goes_on_with_what_it_has() {
    let script = cell_shop();
    let engine = after_a_click(&script);
    fetch(&engine);
    engine.set_offline(true);
    let offline = track(&engine, 4);
    assert!(fetch(&engine).update.is_none());
    assert!(offline.items.len() > CELL);
    assert_eq!(block_on(engine.recommend()).unwrap().connection.state, ConnectionState::Offline);
}

#[test]
fn memory_for_cells_is_bounded() {
    let script = cell_shop();
    let options = r#""searchMemory":1000"#;
    let engine = open_as(&script, options).unwrap_or_else(|error| panic!("{error}"));
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    fetch(&engine);
    fetch(&engine);
    let (cells, bytes) = block_on(engine.session.lock()).cell_usage();
    assert_eq!(cells, 1, "{bytes} bytes");
}

#[test]
fn rows_that_the_server_lacks_are_requested_once() {
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[])));
    assert!(!fetch(&engine).rows);
    script.asked.borrow_mut().clear();
    assert!(fetch(&engine).update.is_none());
    assert!(script.asked.borrow().is_empty());
}

#[test]
fn rows_of_another_item_table_are_refused() {
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    let mut foreign = rows(&[2]);
    let text = String::from_utf8(foreign.body).unwrap();
    foreign.body = text.replace(&rows_hash(), "newer").into_bytes();
    script.lists.borrow_mut().push_back(Ok(foreign));
    let fetched = fetch(&engine);
    assert_eq!(fetched.errors[0].code, ErrorCode::CatalogueChanged);
    assert!(fetched.errors[0].message.contains("newer"), "{}", fetched.errors[0].message);
    assert!(!fetched.rows && fetched.update.is_none());
}

#[test]
fn no_rows_are_requested_during_the_back_off() {
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Err(Failure::new(ErrorCode::Unreachable, "gone")));
    request(&engine);
    script.asked.borrow_mut().clear();
    assert!(fetch(&engine).update.is_none());
    assert!(script.asked.borrow().is_empty());
    script.clock.set(1_001.0);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    assert!(fetch(&engine).rows);
}

#[test]
fn cells_are_fetched_during_the_back_off() {
    let script = cell_shop();
    let engine = after_a_click(&script);
    script.lists.borrow_mut().push_back(Err(Failure::new(ErrorCode::Unreachable, "gone")));
    request(&engine);
    track(&engine, 29);
    script.asked.borrow_mut().clear();
    assert!(fetch(&engine).update.is_some());
    assert!(cell_requests(&script) > 0);
    assert_eq!(cell_requests(&script), script.asked.borrow().len());
}

#[test]
fn nothing_is_fetched_if_the_network_is_forbidden_while_the_session_is_in_use() {
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    let session = block_on(engine.session.lock());
    let page = async {
        yield_now().await;
        engine.set_offline(true);
        drop(session);
    };
    let (fetched, ()) = block_on(zip(engine.fetch_missing(), page));
    assert!(fetched.unwrap().update.is_none());
    assert!(script.asked.borrow().is_empty());
}

#[test]
fn two_calls_that_wait_for_the_session_request_once() {
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    script.held.set(true);
    let session = block_on(engine.session.lock());
    let page = async {
        yield_now().await;
        drop(session);
        yield_now().await;
        yield_now().await;
        script.held.set(false);
    };
    let both = zip(engine.fetch_missing(), engine.fetch_missing());
    let ((first, second), ()) = block_on(zip(both, page));
    assert!(first.unwrap().rows != second.unwrap().rows, "one of them fetches");
    assert_eq!(script.asked.borrow().len(), 1);
}

#[test]
fn available_items_whose_rows_are_not_here_get_them_from_the_server() {
    let script = cell_shop();
    // Memory for one cell.
    let engine = open_as(&script, r#""searchMemory":1"#).unwrap_or_else(|error| panic!("{error}"));
    track(&engine, 2);
    script.lists.borrow_mut().push_back(Ok(rows(&[2])));
    fetch(&engine);
    fetch(&engine);
    let here = block_on(engine.rank_deeper(400)).unwrap().items;
    let is_here = |number: usize| here.iter().any(|found| found.item == item(number));
    let far: Vec<usize> = (0..ITEMS).filter(|number| *number != 2 && !is_here(*number)).collect();
    let allowed: Vec<ItemId> = far[..6].iter().map(|number| item(*number)).collect();
    let update = block_on(engine.set_available(Some(allowed))).unwrap();
    assert!(update.items.is_empty());
    script.asked.borrow_mut().clear();
    // The server lacks the row of one.
    script.lists.borrow_mut().push_back(Ok(rows(&far[..5])));
    let fetched = fetch(&engine);
    assert!(!fetched.rows, "these are no clicks to learn from");
    assert!(!fetched.more, "one request has them all");
    assert!(fetched.update.unwrap().items.len() >= 5);
    let requests = || script.asked.borrow().iter().filter(|asked| asked.contains("items")).count();
    assert_eq!(requests(), 1);
    fetch(&engine);
    assert_eq!(requests(), 1, "each is requested once");
}

#[test]
fn a_failed_request_for_rows_of_available_items_is_tried_at_the_next_call_or_given_up() {
    for (status, again) in [(503, true), (400, false)] {
        let script = cell_shop();
        let engine =
            open_as(&script, r#""searchMemory":1"#).unwrap_or_else(|error| panic!("{error}"));
        track(&engine, 2);
        script.lists.borrow_mut().push_back(Ok(rows(&[2])));
        fetch(&engine);
        fetch(&engine);
        block_on(engine.set_available(Some((0..ITEMS).map(item).collect()))).unwrap();
        let missing = || block_on(engine.session.lock()).missing_available(200);
        let before = missing();
        assert!(!before.is_empty());
        let failure = HttpResponse { status, ..HttpResponse::default() };
        script.lists.borrow_mut().push_back(Ok(failure));
        let fetched = fetch(&engine);
        assert!(!fetched.more, "not at once");
        assert_eq!(fetched.errors.is_empty(), again);
        assert_eq!(missing().iter().any(|item| before.contains(item)), again);
    }
}

#[test]
fn a_longer_ranking_gets_further_cells() {
    let script = cell_shop();
    let engine = after_a_click(&script);
    let before = block_on(engine.rank_deeper(400)).unwrap().items.len();
    let further = block_on(engine.fetch_further()).unwrap();
    assert!(further.more && further.update.is_none() && further.errors.is_empty());
    assert_eq!(cell_requests(&script), ITEMS / CELL);
    let after = block_on(engine.rank_deeper(400)).unwrap();
    assert!(after.items.len() > before && after.items.len() == ITEMS - 1);
    assert!(!block_on(engine.fetch_further()).unwrap().more, "all are here");
    engine.set_offline(true);
    assert!(!block_on(engine.fetch_further()).unwrap().more);
}

#[test]
fn without_a_search_a_release_in_cells_loads_neither_table_nor_index() {
    let script = cell_shop();
    let engine = open_as(&script, r#""search":"off""#).unwrap_or_else(|error| panic!("{error}"));
    let asked = script.asked.borrow().join(" ");
    assert!(!asked.contains("rows.bin") && !asked.contains("cells.bin"), "{asked}");
    assert!(!asked.contains("items.json"), "{asked}");
    assert!(!track(&engine, 5).searched);
}

#[test]
fn a_server_that_rows_and_events_do_not_reach_is_failing() {
    let gone = || Err(Failure::new(ErrorCode::Unreachable, "gone"));
    let script = cell_shop();
    let engine = open(&script);
    track(&engine, 2);
    script.lists.borrow_mut().push_back(gone());
    let fetched = fetch(&engine);
    assert!(fetched.failed && fetched.update.is_none() && fetched.errors.is_empty());
    let update = block_on(engine.recommend()).unwrap();
    assert_eq!(update.connection.state, ConnectionState::Failing);
    assert_eq!(update.stats.failed_calls, 0);
    engine.set_offline(false);
    assert_eq!(block_on(engine.recommend()).unwrap().connection.state, ConnectionState::Online);
    script.lists.borrow_mut().push_back(gone());
    let sent = engine.request("/v1/events", Some("{}".into()), "events".into());
    assert_eq!(block_on(sent).unwrap_err().code, ErrorCode::Unreachable);
    assert_eq!(block_on(engine.recommend()).unwrap().connection.state, ConnectionState::Failing);
}
