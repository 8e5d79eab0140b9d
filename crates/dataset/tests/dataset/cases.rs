//! Files of a kind that people have, with the result that they expect.

use std::path::{Path, PathBuf};

use tandem_dataset::{DatasetError, ImportOptions, Imported, Repeats, import};

use crate::{items, left_out, shown};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dataset/cases").join(name)
}

fn options(names: &[&str]) -> ImportOptions {
    ImportOptions::new("case", names.iter().map(|name| path(name)))
}

fn imported(names: &[&str]) -> Imported {
    import(&options(names)).unwrap()
}

#[test]
fn the_servers_own_event_log() {
    let log = imported(&["own-event-log/interactions.jsonl"]);
    assert_eq!(shown(&log.dataset), ["s1: 1 2", "s2: 1 3"]);
    let counts = (log.summary.users, log.summary.items, log.summary.interactions);
    assert_eq!(counts, (2, 3, 4));
    assert_eq!(log.dataset.sequences[0].times, Some(vec![1_700_000_000, 1_700_000_001]));
}

#[test]
fn time_columns_of_other_names() {
    for (name, sequences) in [
        ("log.csv", &["u1: a b c", "u2: a b c"][..]),
        ("log.jsonl", &["u1: a b c"]),
        ("gorse.csv", &["u1: a b c"]),
    ] {
        let log = imported(&[&format!("time-column-of-another-name/{name}")]);
        assert_eq!(shown(&log.dataset), sequences, "{name}");
        let text = log.summary.to_string();
        assert!(text.contains("  time: "), "{text}");
    }
}

#[test]
fn float_ids() {
    let catalogue = vec![path("float-ids/items.csv")];
    for (log, users) in [("log.csv", &["1: 5 6 7", "2: 5 6 7"][..]), ("log.jsonl", &["1: 5"])] {
        let options = ImportOptions {
            catalogue: catalogue.clone(),
            ..options(&[&format!("float-ids/{log}")])
        };
        let log = import(&options).unwrap();
        assert_eq!(shown(&log.dataset), users);
        assert_eq!(items(&log), ["5 \"Five\" -", "6 \"Six\" -", "7 \"Seven\" -"]);
        assert_eq!(log.summary.unlisted, Some((0, String::new())));
    }
}

#[test]
fn dislikes_and_returns() {
    let ratings = imported(&["dislikes-and-returns/log.csv"]);
    assert_eq!(shown(&ratings.dataset), ["u1: a d", "u2: d"]);
    assert_eq!(left_out(&ratings), [(4, "ratings of 0 or less (--min-rating decides)")]);
    let example = &ratings.summary.left_out[0].example;
    assert!(example.ends_with("log.csv, line 3: user u1, item b"), "{example}");

    let min_rating = |min_rating| {
        let options = options(&["dislikes-and-returns/log.csv"]);
        shown(&import(&ImportOptions { min_rating: Some(min_rating), ..options }).unwrap().dataset)
    };
    assert_eq!(min_rating(5.0), ["u1: a", "u2: d"]);
    assert_eq!(min_rating(-1.0), ["u1: a b c d", "u2: b c d"]);

    let events = imported(&["dislikes-and-returns/events.jsonl"]);
    assert_eq!(shown(&events.dataset), ["u1: a"]);
    let names: Vec<&str> =
        left_out(&events).iter().map(|(_, why)| why.split('"').nth(1).unwrap()).collect();
    assert_eq!(names, ["dislike", "return", "remove_from_cart"]);
}

#[test]
fn exact_duplicate_rows() {
    let log = imported(&["exact-duplicate-rows/log.csv"]);
    assert_eq!(
        shown(&log.dataset),
        ["u1: a b c", "u2: a b c", "u3: a b c", "u4: a b c", "u5: a b c"]
    );
    assert_eq!(left_out(&log), [(10, "exact duplicates (--keep-duplicates decides)")]);
    let kept = ImportOptions {
        keep_duplicates: true,
        repeats: Repeats::Keep,
        ..options(&["exact-duplicate-rows/log.csv"])
    };
    assert_eq!(import(&kept).unwrap().dataset.interactions(), 25);
}

#[test]
fn null_genres() {
    let read = |name: &str| {
        let catalogue = vec![path(&format!("null-genres/{name}"))];
        let log = options(&["null-genres/log.jsonl"]);
        let imported = import(&ImportOptions { catalogue, ..log }).unwrap();
        assert_eq!(imported.summary.bad_rows, []);
        items(&imported)[0].clone() + " / " + &items(&imported)[1]
    };
    assert_eq!(read("null.jsonl"), "a \"A\" 1999 x / b \"B\" -");
    assert_eq!(read("text.jsonl"), "a \"A\" - Crime|Drama / b \"\" -");
    assert_eq!(read("numeric-title.jsonl"), "a \"300\" - / b \"\" -");
    assert_eq!(read("year.jsonl"), "a \"A\" 1999 / b \"\" -");
}

#[test]
fn some_times_missing() {
    let error = import(&options(&["some-times-missing/log.csv"])).unwrap_err();
    let DatasetError::TooManyBadRows { bad, total, first, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((bad, total), (&1, &4));
    assert!(first.contains("line 3: ") && first.contains("found nothing"), "{first}");
    assert!(error.blames_input());

    let options = ImportOptions { max_bad_rows: 0.25, ..options(&["some-times-missing/log.csv"]) };
    let log = import(&options).unwrap();
    assert_eq!(shown(&log.dataset), ["u1: a c", "u2: a"]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    log.save(&out).unwrap();
    let listed = std::fs::read_to_string(out.join("bad-rows.txt")).unwrap();
    assert_eq!(listed.lines().count(), 1);
    assert!(listed.contains("log.csv, line 3: expected a time"), "{listed}");
}

#[test]
fn written_dates() {
    let iso = imported(&["written-dates/iso.jsonl"]);
    assert_eq!(iso.dataset.sequences[0].times, Some(vec![1_714_557_600]));
    let sql = imported(&["written-dates/log.csv"]);
    assert_eq!(shown(&sql.dataset), ["2140: 185965", "2823: 186085", "3423: 186758 186759"]);
    // date -u -d '2022-06-24 21:20:11' +%s
    assert_eq!(sql.dataset.sequences[2].times, Some(vec![1_656_105_611, 1_656_105_613]));
    let text = sql.summary.to_string();
    assert!(text.contains("dates, 2022-06-24T21:20:11Z to 2022-06-24T21:20:20Z"), "{text}");
}

#[test]
fn repeat_purchases() {
    let auto = imported(&["repeat-purchases/log.csv"]);
    assert!(auto.dataset.repeats);
    let (users, repeated) = auto.summary.repeated_targets;
    assert_eq!(users, repeated);
    assert_eq!(auto.dataset.interactions() as u64, auto.summary.rows);
    assert!(auto.summary.to_string().contains("can be recommended again"), "{}", auto.summary);

    let repeats = Repeats::Drop;
    let drop =
        import(&ImportOptions { repeats, ..options(&["repeat-purchases/log.csv"]) }).unwrap();
    assert!(!drop.dataset.repeats);
    assert_eq!(shown(&drop.dataset)[..2], ["u0: cat food milk", "u1: milk bread eggs"]);
    assert!(drop.summary.to_string().contains("warning: "), "{}", drop.summary);
}
