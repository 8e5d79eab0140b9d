//! An import by sorted keys gives the folder of the import in memory. The sort is here one in
//! memory; `tandem-log-engine` tests the same with one on the disk.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;
use tandem_dataset::{
    DatasetError, ImportOptions, Repeats,
    external::{Assembly, LocalFiles, LogFiles, LogSurvey, row_keys, survey},
    import,
};

use crate::Files;

/// Imports by keys, each file in parts of a few rows; the summary as text.
fn by_keys(options: &ImportOptions, dir: &Path) -> Result<String, DatasetError> {
    let files = LogFiles::find(options, &LocalFiles, 3)?;
    let parts = files.parts().to_vec();
    let mut surveyed = LogSurvey::new(options, files);
    // Reports can come in any order.
    for (at, part) in parts.iter().enumerate().rev() {
        let found = survey(part, options, &LocalFiles)?;
        surveyed.add_report(at, found.report())?;
        for (item, number) in found.items() {
            surveyed.add_item(at, item, number)?;
        }
    }
    let (rules, prepared) = surveyed.prepare()?;
    let sent = serde_json::to_string(&rules).unwrap();
    let rules = serde_json::from_str(&sent).unwrap();
    let mut keys = Vec::new();
    for part in &parts {
        row_keys(part, &rules, options, &LocalFiles, |key| {
            keys.push(key.to_vec());
            Ok(())
        })?;
    }
    keys.sort();
    let mut assembly = Assembly::new(prepared, dir)?;
    keys.iter().try_for_each(|key| assembly.push(key))?;
    assembly.finish().map(|summary| summary.to_string())
}

fn folder(dir: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[track_caller]
fn check(files: &Files, options: &ImportOptions) {
    let in_memory = import(options).and_then(|imported| {
        imported.save(&files.path("in-memory"))?;
        Ok(imported.summary.to_string())
    });
    let found = by_keys(options, &files.path("by-keys"));
    let text = |result: Result<String, DatasetError>| result.map_err(|error| error.to_string());
    let (in_memory, found) = (text(in_memory), text(found));
    assert_eq!(found, in_memory);
    if found.is_ok() {
        assert_eq!(folder(&files.path("by-keys")), folder(&files.path("in-memory")));
    }
}

const LOG: &str = "\
user_id,item_id,timestamp,event_type,rating
ann,tea,1700000000,view,
ann,tea,1700000100,cart,5
ann,tea,1700000200,purchase,5
ann,tea,1700000200,purchase,5
bob,cup,1700000000,view,
bob,,1700000001,search,
bob,cup,soon,view,
bob,pot,1700000300,view,-1
bob,pot,1700000300,dislike,
cleo,pot,1700000000000,view,
cleo,pot,1700000000,wish,
cleo,tea,1700000400,view
10,tea,1700000400,view,2
9,tea,1700000400,view,2
9,pot,1700000400,click,2
";

#[test]
fn logs_of_every_kind() {
    let files = Files::new(&[
        ("log.csv", LOG.as_bytes()),
        ("untimed.csv", b"user,item\nb,x\na,z\nb,a\na,y\nb,x\n"),
        ("days.csv", b"user,item,day\na,x,20240502\na,y,20240501\nb,x,20240501\n"),
        ("floats.csv", b"user,item,time\n5.0,1e3,1\n6,7.0,2\n007,8,3\n7,1000,4\n"),
        ("visitors.csv", b"user_id,visitor_id,item,time\nann,v1,x,1\n,v1,y,2\n,v2,x,3\n"),
        ("interactions.jsonl", b""),
        ("items.csv", b"item_id,title\ntea,Tea\nunseen,None\ntea,Again\n"),
        ("bad.csv", b"who,what\n1,2\n"),
    ]);
    for names in [
        &["log.csv"][..],
        &["untimed.csv"],
        &["days.csv"],
        &["floats.csv"],
        &["visitors.csv"],
        &["days.csv", "interactions.jsonl", "log.csv"],
        &["untimed.csv", "log.csv"],
        &["bad.csv"],
        &["interactions.jsonl"],
    ] {
        let options = files.options(names);
        check(&files, &options);
        let options = ImportOptions { max_bad_rows: 1.0, ..options };
        check(&files, &options);
        check(&files, &ImportOptions { repeats: Repeats::Keep, ..options.clone() });
        let catalogue = vec![files.path("items.csv")];
        check(&files, &ImportOptions { catalogue, keep_duplicates: true, ..options });
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_in_parts() {
    let rows: Vec<_> = (0..50_i64)
        .map(|at| (format!("u{}", at % 7), format!("i{}", at * at % 11), 1_700_000_000_000 + at))
        .collect();
    let bytes = crate::same_log::parquet(&rows, parquet::basic::Compression::SNAPPY);
    let files = Files::new(&[("log", &bytes)]);
    check(&files, &files.options(&["log"]));
}

fn field(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_logs(rows in prop::collection::vec((
        field(&["a", "b", "0", "1", "01", "1.0", "2", "nan", ""]),
        field(&["x", "y", "0", "1", "1.0", "10", ""]),
        field(&["1700000000", "1700000001", "1700000002", "1700003600", "1700000000000", "20240501", "soon", ""]),
        field(&["view", "cart", "purchase", "dislike", "strange", ""]),
    ), 1..60), columns in 2_usize..=4, keep in any::<bool>()) {
        let header = ["user", "item", "time", "event"];
        let mut text = header[..columns].join(",") + "\n";
        for (user, item, time, event) in rows {
            text += &([user, item, time, event][..columns].join(",") + "\n");
        }
        let files = Files::new(&[("log", text.as_bytes())]);
        let repeats = if keep { Repeats::Keep } else { Repeats::Auto };
        check(&files, &ImportOptions { max_bad_rows: 1.0, repeats, max_events_per_user_hour: 20, ..files.options(&["log"]) });
    }
}
