//! Random logs.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;
use tandem_dataset::Repeats;

use crate::check_text;

/// User, item, time and event type as they are written.
type Row = (String, String, String, String);

fn row() -> impl Strategy<Value = Row> {
    let user = prop_oneof!["[0-9]{1,2}", "[ab0]{1,2}", Just("5.0".to_owned()), Just(String::new())];
    let item = prop_oneof!["[0-9]{1,2}", "[xy]{1,2}", Just("7.0".to_owned()), Just(String::new())];
    let time = prop_oneof![
        8 => (1_700_000_000_i64..1_700_000_020).prop_map(|time| time.to_string()),
        1 => Just("1700000000000".to_owned()),
        1 => Just("20240501".to_owned()),
        1 => Just("soon".to_owned()),
        1 => Just(String::new()),
    ];
    let event = prop_oneof![
        4 => Just("view"),
        2 => Just("cart"),
        1 => Just("purchase"),
        1 => Just("dislike"),
        1 => Just("strange"),
        1 => Just(""),
    ];
    (user, item, time, event.prop_map(str::to_owned))
}

fn csv(rows: &[Row], columns: usize) -> String {
    let header = ["user", "item", "time", "event"];
    let mut text = header[..columns].join(",") + "\n";
    for (user, item, time, event) in rows {
        let fields = [user.as_str(), item, time, event];
        writeln!(text, "{}", fields[..columns].join(",")).unwrap();
    }
    text
}

fn json_lines(rows: &[Row]) -> String {
    let mut text = String::new();
    for (user, item, time, event) in rows {
        let object = json!({"user": user, "item": item, "time": time, "event": event});
        writeln!(text, "{object}").unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_logs_give_the_same_folder(rows in prop::collection::vec(row(), 1..120),
                                        columns in 2_usize..=4, keep in any::<bool>()) {
        let change = |options: &mut tandem_dataset::ImportOptions| {
            options.max_bad_rows = 1.0;
            options.keep_duplicates = keep;
            options.repeats = if keep { Repeats::Keep } else { Repeats::Auto };
        };
        check_text(csv(&rows, columns), change);
        check_text(json_lines(&rows), change);
    }
}
