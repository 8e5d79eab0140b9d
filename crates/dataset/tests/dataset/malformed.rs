//! Bad rows name file, line and field.

use std::fmt::Write;

use crate::try_import;

/// Lines and reasons of the bad rows.
fn bad(text: impl AsRef<[u8]>) -> Vec<(u64, String)> {
    let read = try_import(text, |options| options.max_bad_rows = 1.0).unwrap();
    read.summary.bad_rows.into_iter().map(|row| (row.line, row.reason)).collect()
}

#[track_caller]
fn check(text: impl AsRef<[u8]>, line: u64, reason: &str) {
    let found = bad(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1.as_str()), (line, reason));
}

#[test]
fn delimited_text() {
    const TIME: &str = "field time: expected a time as a number or as 2024-05-01 10:00:00 \
                        (others are read with, for example, --time-format '%d.%m.%Y %H:%M'), found \"soon\"";
    let good = "user,item,time\na,b,1\n";
    check(format!("{good}a,b\n"), 3, "expected 3 fields as in the header, found 2");
    check(format!("{good}a,b,1,2\n"), 3, "expected 3 fields as in the header, found 4");
    check(format!("{good},b,1\n"), 3, "field user: expected a user id, found nothing");
    check(
        format!("{good}undefined,b,1\n"),
        3,
        "field user: expected a user id, found a word that means no value",
    );
    check(format!("{good}a,null,1\n"), 3, "field item: expected an item id, found nothing");
    check(
        format!("{good}a,\"b\nc\",1\n"),
        3,
        "field item: expected an item id, found a control character",
    );
    check(format!("{good}\r\n\r\na,c,soon\r\n"), 5, TIME);
    check(
        format!("{good}\"a\nb\",c,1\n"),
        3,
        "field user: expected a user id, found a control character",
    );
    let row = [good.as_bytes(), "ä,é,2\nö,ü,3\na,\u{e9}\n".as_bytes(), b"a,\xff,2\n"].concat();
    let found = bad(row);
    assert_eq!(found[1], (6, "expected UTF-8 text, found another encoding in field 2".to_owned()));
}

#[test]
fn a_quote_that_is_not_closed_counts_all_lines_that_it_takes() {
    let mut log = "user,item,time\n".to_owned();
    log += "\"a,b,1\n";
    for at in 0..50 {
        writeln!(log, "u{at},b,{at}").unwrap();
    }
    let error = try_import(&log, |options| options.max_bad_rows = 0.5).unwrap_err().to_string();
    assert!(error.contains("51 of 51 rows") && error.contains("is a quote not closed?"), "{error}");
}

#[test]
fn json() {
    let good = "{\"user\":1,\"item\":2}\n";
    for (line, reason) in [
        ("[]", "expected a JSON object, found an array"),
        ("{\"user\":1}", "field item: expected an item id, found nothing"),
        ("{\"user\":1,\"item\":[2]}", "field item: expected an item id, found a list"),
        ("{\"user\":\"\",\"item\":2}", "field user: expected a user id, found nothing"),
    ] {
        check(format!("{good}{line}\n"), 2, reason);
    }
    let cut = bad(format!("{good}{{\"user\":1,\"item\n{good}"));
    assert!(cut[0].0 == 2 && cut[0].1.starts_with("expected a JSON object, found EOF"), "{cut:?}");
    let array = bad("[{\"user\":1,\"item\":2},\n{\"user\":1,\n\"item\":");
    assert!(array[0].0 == 2 && array[0].1.contains("EOF"), "{array:?}");
}

#[test]
fn a_column_has_one_unit_of_time() {
    let log = "user,item,time\nu,a,1700000001000\nu,b,1700000002000\nu,c,1700000003\n";
    check(log, 4, "expected a time in milliseconds as in the rest of the file, found seconds");
    let log = "user,item,time\nu,a,2024-05-01\nu,b,2024-05-02\nu,c,\n";
    check(log, 4, "expected a time, found nothing");
}

#[test]
fn other_dates_need_a_format() {
    let log = "user,item,InvoiceDate\nu,a,12/1/2010 8:26\nu,b,12/1/2010 8:24\n";
    let error = try_import(log, |_| ()).unwrap_err().to_string();
    assert!(error.contains("2 of 2 rows") && error.contains("--time-format"), "{error}");
    let read = try_import(log, |options| options.time_format = Some("%m/%d/%Y %H:%M".into()));
    // date -u -d '2010-12-01 08:24' +%s
    assert_eq!(read.unwrap().dataset.sequences[0].times, Some(vec![1_291_191_840, 1_291_191_960]));
}

#[test]
fn a_refusal_shows_the_first_ten_reasons_in_order() {
    let mut log = "user,item,time\n".to_owned();
    for at in 0..15 {
        write!(log, "u,a,\nu,a,word{at}\n").unwrap();
    }
    let error = try_import(log, |_| ()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 11, "{error}");
    assert!(lines[0].contains("30 of 30 rows cannot be read, more than the 1 % of --max-bad-rows"));
    assert!(lines[1].contains("found nothing (and 14 other rows)"), "{error}");
    assert!(lines[1].contains("line 2: ") && lines[10].contains("line 19: "), "{error}");
}

#[test]
#[cfg(feature = "parquet")]
fn a_parquet_file_has_rows_and_no_lines() {
    let row = |item: &str| ("u".to_owned(), item.to_owned(), 1_714_557_600_000);
    let rows = [row("a"), row("")];
    let bytes = crate::same_log::parquet(&rows, parquet::basic::Compression::SNAPPY);
    let error = try_import(bytes, |_| ()).unwrap_err().to_string();
    assert!(error.contains(", row 2: field item_id"), "{error}");
}
