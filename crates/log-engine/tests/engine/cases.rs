//! Logs of every kind.

use std::{fmt::Write as _, io::Write as _};

use tandem_dataset::{ImportOptions, Repeats};

use crate::{Logs, check, check_text, parquet_files};

const EVENTS: &str = "\
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
9,tea,1700000500,click,2
";

fn lenient(options: &mut ImportOptions) {
    options.max_bad_rows = 1.0;
}

#[test]
fn event_types_bad_rows_duplicates_and_repeats() {
    for repeats in [Repeats::Drop, Repeats::Keep, Repeats::Auto] {
        check_text(EVENTS, |options| {
            lenient(options);
            options.repeats = repeats;
        });
    }
    check_text(EVENTS, |options| {
        lenient(options);
        options.keep_duplicates = true;
        options.min_event_weight = 2;
        options.event_weights = vec![("wish".to_owned(), 4)];
    });
    check_text(EVENTS, |options| {
        lenient(options);
        options.min_rating = Some(2.0);
    });
    check_text(EVENTS, |options| {
        lenient(options);
        options.notice = Some("cite".to_owned());
        options.forgotten.insert("ann");
    });
}

#[test]
fn too_many_bad_rows_are_refused_in_the_same_words() {
    check_text(EVENTS, |_| ());
    check_text("user,item,time\na,x,1\nb,y\nc,z,now\n", |_| ());
}

#[test]
fn without_times_the_order_of_the_file_counts() {
    let mut text = "user,item\n".to_owned();
    for row in 0..3_000_u32 {
        writeln!(text, "{},{}", row * 7 % 31, row * 11 % 97).unwrap();
    }
    check_text(&text, |options| options.repeats = Repeats::Keep);
    check_text(&text, |_| ());
}

#[test]
fn times_as_positions_days_and_dates() {
    check_text("user,item,time\na,x,3\na,y,1\nb,x,2\n", |_| ());
    check_text("user,item,day\na,x,20240502\na,y,20240501\nb,x,20240501\n", |_| ());
    check_text("user,item,day\na,x,20240502\na,y,2024-05-01\nb,x,7\n", lenient);
    check_text("user,item,date,time\na,x,2024-05-02,10:00\na,y,2024-05-02,09:00\n", |_| ());
    check_text("user,item,time\na,x,1.5.2024\na,y,2.5.2024\n", |options| {
        options.time_format = Some("%d.%m.%Y".to_owned());
    });
}

#[test]
fn ids_of_data_frames_and_leading_zeros() {
    check_text("user,item,time\n5.0,1e3,1\n6,7.0,2\n007,8,3\n7,1000,4\n", |_| ());
    check_text("user,item,time\n5.0,x,1\n5,y,2\n05,x,3\n", |_| ());
}

#[test]
fn visitors_fill_rows_without_a_user() {
    check_text("user_id,visitor_id,item,time\nann,v1,x,1\n,v1,y,2\n,v2,x,3\nbob,,y,4\n", |_| ());
}

#[test]
fn users_who_may_be_many_people_and_bots() {
    let mut text = "user,item,time\n".to_owned();
    for row in 0..4_000_u32 {
        let user = if row % 5 == 0 { "guest".to_owned() } else { format!("u{}", row % 300) };
        writeln!(text, "{user},i{},{}", row * 13 % 211, 1_700_000_000 + row * 60).unwrap();
    }
    for row in 0..30 {
        writeln!(text, "robot,i{row},{}", 1_700_000_000 + row).unwrap();
    }
    check_text(&text, |options| options.max_events_per_user_hour = 20);
}

#[test]
fn many_users_return_to_items() {
    let mut text = "user,item,time\n".to_owned();
    for user in 0..40 {
        for (at, item) in ["a", "b", "c", if user % 3 == 0 { "d" } else { "a" }].iter().enumerate()
        {
            writeln!(text, "{user},{item},{}", 1_700_000_000 + at).unwrap();
        }
    }
    check_text(&text, |_| ());
}

#[test]
fn json_lines_with_lists_and_late_fields() {
    let mut text = String::new();
    for row in 0..1_500 {
        writeln!(
            text,
            r#"{{"user":{{"id":"u{}"}},"item":"i{}","ts":{}}}"#,
            row % 40,
            row % 77,
            1_700_000_000 + row
        )
        .unwrap();
    }
    text.push_str(
        "not json\n{\"user\":{\"id\":\"late\"},\"item\":\"x\",\"ts\":5,\"quantity\":0}\n",
    );
    check_text(&text, lenient);
    check_text(
        r#"{"visitor":"v","event":"purchase","ts":5,"items":[{"item_id":"b"},{"item_id":"a"}]}
{"visitor":"v","event":"view","ts":6,"items":[{"item_id":"a"}]}
"#,
        |_| (),
    );
    check_text(r#"[{"user":1,"item":2},{"user":1,"item":3},{"user":0,"item":2}]"#, |_| ());
    check_text(r#"{"data":[{"user":1,"item":2},{"user":1,"item":3},{"user":0,"item":2}]}"#, |_| ());
}

#[test]
fn encodings_and_compression() {
    let text = "user;item;time\nann;caf\u{e9};1700000000\nbob;th\u{e9};1700000001\n";
    let windows: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    check_text(windows, |_| ());
    check_text(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(), |_| ());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(EVENTS.as_bytes()).unwrap();
    check_text(gzip.finish().unwrap(), lenient);
    check_text("\"user\",item\r\n\"a, b\",x\r\n\r\n\"c\nd\",y\r\n", lenient);
}

#[test]
fn parquet_files_in_parts() {
    let rows = parquet_files::rows(997);
    let logs = Logs::new(&[("log", &parquet_files::write(&rows, 50))]);
    check(&logs, &logs.options(&["log"]));
    let logs = Logs::new(&[("log", &parquet_files::write(&rows[..1], 50))]);
    check(&logs, &logs.options(&["log"]));
}

#[test]
fn several_files_and_a_catalogue() {
    let parquet = parquet_files::write(&parquet_files::rows(200), 64);
    let own_log = r#"{"user":"u1","item":"i3","timestamp":1700000000,"type":"click","id":"1"}
{"user":"u1","item":"i4","timestamp":1700000001,"type":"view","id":"2"}
"#;
    let logs = Logs::new(&[
        ("a.csv", EVENTS.as_bytes()),
        ("b.parquet", &parquet),
        ("c.jsonl", own_log.as_bytes()),
        (
            "items.csv",
            b"item_id,title,year\ni1,One,1999\ni3,Three,x\ntea,Tea,\nunseen,None,\ntea,Again,\n",
        ),
    ]);
    let mut options = logs.options(&["b.parquet", "a.csv", "c.jsonl"]);
    options.max_bad_rows = 1.0;
    check(&logs, &options);
    options.catalogue = vec![logs.path("items.csv")];
    check(&logs, &options);
    options.columns.item = Some("item_id".to_owned());
    check(&logs, &options);
}

#[test]
fn objects_of_a_store() {
    let parquet = parquet_files::write(&parquet_files::rows(200), 64);
    let logs = Logs::new(&[("a.csv", EVENTS.as_bytes()), ("b.parquet", &parquet)]);
    let mut options = logs.options(&["a.csv", "b.parquet"]);
    options.max_bad_rows = 1.0;
    let (expected, _) = logs.in_memory(&options).unwrap();
    for path in &mut options.events {
        *path = format!("file://{}", path.display()).into();
    }
    let engine = tandem_log_engine::Engine::Local(tandem_log_engine::Memory::Sorting(crate::TINY));
    let (mut found, _) = logs.outside(&options, engine).unwrap();
    // Bad rows name the file as it was given.
    let bad_rows = found.get_mut("bad-rows.txt").unwrap();
    *bad_rows = bad_rows.replace("file://", "");
    assert_eq!(found, expected);
}

#[test]
fn a_log_that_is_larger_than_the_memory_to_sort_in() {
    let mut text = "user,item,time\n".to_owned();
    for row in 0..200_000_u64 {
        // Users and times in no order.
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(text, "u{},i{},{}", mixed % 3_001, row % 977, 1_700_000_000 + mixed % 1_000_003)
            .unwrap();
    }
    check_text(&text, |_| ());
}
