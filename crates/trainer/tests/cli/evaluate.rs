//! `tandem evaluate`.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};
use tandem_evaluation::{History, ResultRow, SearchScope};

use crate::Bench;

fn rows(bench: &Bench, options: &str) -> Vec<ResultRow> {
    let _ = fs::remove_file(bench.path("r.json"));
    let table =
        bench.done(&format!("evaluate --protocol standard --data set {options} --json r.json"));
    let rows: Vec<ResultRow> =
        serde_json::from_slice(&fs::read(bench.path("r.json")).unwrap()).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 2, "head, rule and a line a row: {table}");
    rows
}

#[test]
fn baselines_are_ranked_as_by_hand() {
    let bench = Bench::new();
    bench.import_sample();
    // Training part: 1: 10 20, 2: 10, 3: 20 30, 4: 60 10. Counts: 10 thrice, 20 twice,
    // 30 and 60 once, 40 and 50 never. Test targets with the history removed:
    // 1: 40 after 10 20 30 -> 60, 40: rank 1. 2: 30 after 10 20 -> rank 0.
    // 3: 50 after 20 30 40 -> 10, 60, 50: rank 2. User 4 is too short.
    let found = rows(&bench, "");
    assert_eq!(found.len(), 8);
    let popularity = &found[0];
    assert_eq!((popularity.name.as_str(), popularity.refit), ("popularity", false));
    assert_eq!((popularity.history, popularity.metrics.count), (History::Removed, 3));
    let expected = (1.0 / 3.0_f64.log2() + 1.0 + 0.5) / 3.0;
    assert!((popularity.ndcg10 - expected).abs() < 1e-6);
    assert_eq!(popularity.metrics.at(1).map(|at| at.hr), Some(0.333_333));
    assert!(found.iter().any(|row| row.name == "co-occurrence" && row.refit));
    assert_eq!(popularity.command, "tandem evaluate --protocol standard --data set --json r.json");
    assert_eq!(found, rows(&bench, ""), "the same figures again");
}

#[test]
fn on_validation_nothing_is_refitted() {
    let bench = Bench::new();
    bench.import_sample();
    let found = rows(&bench, "--part validation");
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|row| !row.refit));
}

#[test]
fn rows_have_the_fields_that_result_files_promise() {
    let bench = Bench::new();
    bench.import_sample();
    rows(&bench, "");
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.path("r.json")).unwrap()).unwrap();
    for field in ["name", "seed", "hr10", "ndcg10", "budget", "calls", "command"] {
        assert!(json[0].get(field).is_some(), "{field}");
    }
}

#[test]
fn data_without_targets_is_refused() {
    let bench = Bench::new();
    bench.write("log.csv", "user,item\n1,2\n1,3\n");
    bench.done("import --events log.csv --name n --out set");
    let said = bench.failed(2, "evaluate --protocol standard --data set");
    assert!(said.contains("found none"), "{said}");
    bench.failed(2, "evaluate --protocol standard --data none");
}

/// Users and items of [`with_lists`].
const USERS: usize = 40;
const ITEMS: usize = 30;

/// A folder with a dataset `set` of users who walk through the items, 8 steps each, a small
/// model `srm.model` and a list of 12 items, `lists.jsonl`, for every prefix: the item that
/// comes next is the third of it.
fn with_lists() -> Bench {
    let bench = Bench::new();
    let item = |user: usize, step: usize| (user * 7 + step * (1 + user % 3)) % ITEMS;
    let mut log = "user,item,timestamp\n".to_owned();
    for user in 0..USERS {
        for step in 0..8 {
            writeln!(log, "{user},{},{}", item(user, step), step * 50_000).unwrap();
        }
    }
    bench.write("log.csv", log);
    bench.done("import --events log.csv --name walks --out set");
    bench.done(
        "train srm --data set --out srm.model --dims 8 --heads 1 --blocks 1 --epochs 3 \
         --hold-out 4",
    );
    let read = |name: &str| fs::read_to_string(bench.path(name)).unwrap();
    let head: Value = serde_json::from_str(&read("set/dataset.json")).unwrap();
    let mut lists = json!({
        "model": "by hand", "model_sha256": "", "catalogue_hash": head["catalogue_hash"], "k": 12
    })
    .to_string();
    lists.push('\n');
    for (user, line) in read("set/sequences.jsonl").lines().enumerate() {
        let items: Value = serde_json::from_str(line).unwrap();
        let items: Vec<u64> = serde_json::from_value(items["items"].clone()).unwrap();
        for length in 1..items.len() {
            let next = items[length];
            let mut list: Vec<u64> = (0..ITEMS as u64)
                .filter(|item| *item != next && !items[..length].contains(item))
                .take(11)
                .collect();
            list.insert(2, next);
            let logprobs: Vec<f64> = (0..12).map(|place| -0.25 * f64::from(place)).collect();
            let line = json!({"user": user, "length": length, "items": list, "logprobs": logprobs});
            writeln!(lists, "{line}").unwrap();
        }
    }
    bench.write("lists.jsonl", lists);
    bench
}

fn read_rows(bench: &Bench) -> Vec<ResultRow> {
    serde_json::from_slice(&fs::read(bench.path("r.json")).unwrap()).unwrap()
}

const PAPER: &str = "evaluate --protocol paper --data set --srm srm.model --lists lists.jsonl \
                     --budgets 0,0.25,1 --json r.json --plot r.svg --seed";

#[test]
fn the_papers_protocol_has_all_its_rows_and_collects_seeds() {
    let bench = with_lists();
    bench.done(&format!("{PAPER} 1"));
    let rows = read_rows(&bench);
    let named =
        |name: &'static str| rows.iter().filter(move |r| r.name == name && r.stratum.is_none());
    // After a request the target is the third of the list: rank 2, 1/log2(4).
    let fresh = named("llm-fresh").next().unwrap();
    assert_eq!((fresh.ndcg10, fresh.hr10, fresh.calls), (0.5, 1.0, Some(1.0)));
    assert_eq!(fresh.metrics.count, USERS);
    assert_eq!(named("llm-stale").count(), 2, "as the list came, and without what was consumed");
    assert!(named("srm-sasrec").all(|row| row.small_model.as_deref() == Some("sasrec")));
    for name in ["fusion-none", "fusion-random", "fusion-batch", "fusion-consistency"] {
        // Two fusions, with learning and without.
        assert_eq!(named(name).count(), 4, "{name}");
    }
    for name in ["fusion-uplift", "fusion-oracle"] {
        // Only with the fitted fusion.
        assert_eq!(named(name).count(), 2, "{name}");
    }
    let random = named("fusion-random").next().unwrap();
    assert_eq!((random.budget, random.calls), (Some(0.25), Some(0.25)));
    // Times are there: the parts of the users add up to all of them.
    let parts: usize = rows
        .iter()
        .filter(|row| row.name == "llm-fresh")
        .filter(|row| matches!(row.stratum, Some(part) if format!("{part:?}").ends_with("Item")))
        .map(|row| row.metrics.count)
        .sum();
    assert_eq!(parts, USERS);
    assert!(fs::read_to_string(bench.path("r.svg")).unwrap().contains("Quality against calls"));

    bench.done(&format!("{PAPER} 1"));
    assert_eq!(read_rows(&bench), rows, "the same figures again");
    bench.done(&format!("{PAPER} 2"));
    assert_eq!(read_rows(&bench).len(), 2 * rows.len());
}

#[test]
fn a_device_that_searches_ranks_the_whole_catalogue() {
    let bench = with_lists();
    let line = format!("{PAPER} 1 --no-learning");
    bench.done(&line);
    let listed = read_rows(&bench).len();
    bench.done(&format!("{line} --search whole"));
    let rows = read_rows(&bench);
    assert!(rows.len() > listed, "rows with search are rows of their own");
    let find = |name: &str, search: Option<SearchScope>| {
        let mut rows = rows.iter().filter(|row| row.stratum.is_none() && row.search == search);
        rows.find(|row| row.name == name && row.history == History::Removed).unwrap()
    };
    // With fewer items than the search finds, the pool is the whole catalogue.
    let alone = find("srm-sasrec", None);
    let pool = find("srm-sasrec-list", Some(SearchScope::Whole));
    assert_eq!(pool.metrics, alone.metrics);
    let of_list = find("srm-sasrec-list", Some(SearchScope::None));
    assert_ne!(of_list.metrics, alone.metrics);
    // The language model ranks its list alone in either case.
    assert_eq!(
        rows.iter().filter(|row| row.name == "llm-fresh" && row.stratum.is_none()).count(),
        1
    );
    assert!(find("fusion-uplift", Some(SearchScope::Whole)).threshold.is_some());

    let line = "evaluate --protocol session --data set --srm srm.model --lists lists.jsonl \
                --clicks 3 --budgets 0.5 --json r.json --no-learning --search whole";
    fs::remove_file(bench.path("r.json")).unwrap();
    bench.done(line);
    let rows = read_rows(&bench);
    assert!(rows.iter().all(|row| row.search == Some(SearchScope::Whole)));
    assert!(rows.iter().any(|row| row.name == "fusion-uplift" && row.threshold.is_some()));
    // The cells near a visitor hold nearly all that the whole table gives.
    bench.done(&line.replace("--search whole", "--search cells"));
    let all = read_rows(&bench);
    let (whole, cells): (Vec<_>, Vec<_>) =
        all.iter().partition(|row| row.search == Some(SearchScope::Whole));
    assert_eq!((whole.len(), cells.len()), (rows.len(), rows.len()));
    for (whole, cells) in whole.iter().zip(&cells) {
        assert_eq!(whole.name, cells.name);
        // Rules with a fitted threshold call at other clicks.
        let rule_is_fixed = ["fusion-never", "fusion-always"].contains(&&*whole.name);
        assert!(!rule_is_fixed || cells.ndcg10 > 0.95 * whole.ndcg10, "{}", whole.name);
    }
}

#[test]
fn sessions_are_measured_under_every_rule() {
    let bench = with_lists();
    let line = "evaluate --protocol session --data set --srm srm.model --lists lists.jsonl \
                --clicks 3 --budgets 0.5 --json r.json --plot r.svg --no-learning";
    bench.done(line);
    let rows = read_rows(&bench);
    let named = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    for name in
        ["fusion-never", "fusion-random", "fusion-every-kth", "fusion-new-items", "fusion-always"]
    {
        assert_eq!(named(name).metrics.count, 3 * USERS, "{name}");
    }
    // After the first and after the second of three clicks.
    assert_eq!(named("fusion-always").calls, Some(2.0));
    assert_eq!(named("fusion-every-kth").calls, Some(1.0));
    assert_eq!(named("fusion-never").calls, Some(0.0));
    let consistency = named("fusion-consistency");
    assert!(consistency.threshold.is_some() && consistency.cost.is_some());
    let uplift = named("fusion-uplift");
    assert!(uplift.threshold.is_some() && uplift.consistency.is_none());
    assert_eq!(uplift.budget, Some(0.5));
    assert!(named("fusion-always").cost.unwrap().bytes_down > 0.0);

    // Made again, times and all would differ: what is there is not measured again.
    bench.done(line);
    assert_eq!(read_rows(&bench), rows);
    let without: Vec<&ResultRow> = rows.iter().filter(|row| row.name != "fusion-never").collect();
    bench.write("r.json", serde_json::to_vec(&without).unwrap());
    bench.done(line);
    assert_eq!(read_rows(&bench).len(), rows.len());
    let again = read_rows(&bench);
    let never = again.iter().find(|row| row.name == "fusion-never").unwrap();
    assert_eq!(never.metrics, named("fusion-never").metrics);

    // What is chosen on models of its own is a measurement of its own.
    let older = format!("{line} --fit-srm srm.model --fit-lists lists.jsonl");
    bench.done(&older);
    let newer = read_rows(&bench);
    assert_eq!(newer.len(), rows.len());
    assert!(newer.iter().all(|row| row.inputs != rows[0].inputs));
    let same = newer.iter().find(|row| row.name == "fusion-never").unwrap();
    assert_eq!(same.metrics, never.metrics, "on the same models the same is chosen");
    let alone = bench.run(&format!("{line} --fit-srm srm.model"));
    assert_eq!(alone.status.code(), Some(2));
    assert!(crate::text(&alone.stderr).contains("--fit-lists"));

    let said = bench.failed(2, &line.replace("--clicks 3", "--clicks 9"));
    assert!(said.contains("tandem lists --for session --clicks 9"), "{said}");
}

#[test]
fn protocols_say_what_they_lack() {
    let bench = Bench::new();
    bench.import_sample();
    let said = bench.failed(2, "evaluate --protocol paper --data set");
    assert!(said.contains("--protocol paper needs --srm"), "{said}");
    bench.write("r.json", "{}");
    let said = bench.failed(2, "evaluate --protocol standard --data set --json r.json");
    assert!(said.contains("r.json: expected the rows of earlier evaluations"), "{said}");
}
