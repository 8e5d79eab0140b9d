//! Which column is what, from the outside.

use std::fmt::Write;

use crate::{import_text, shown, try_import};

#[test]
fn columns_can_be_named() {
    let log = "user_id,customer_id,product_id,item_id,created,ts\nu,c,p,i,2,1\nu,c,q,j,1,2\n";
    let error = try_import(log, |_| ()).unwrap_err();
    assert!(error.blames_input());
    assert!(error.to_string().contains("user_id and customer_id; choose one with --user-column"));
    let named = try_import(log, |options| {
        options.columns.user = Some("customer_id".into());
        options.columns.item = Some("ITEM_ID".into());
        options.columns.time = Some("created".into());
    });
    assert_eq!(shown(&named.unwrap().dataset), ["c: j i"]);
    let missing = try_import(log, |options| options.columns.user = Some("owner".into()));
    let text = missing.unwrap_err().to_string();
    assert!(text.contains("no column \"owner\" (--user-column)"), "{text}");
    assert!(text.contains("user_id, customer_id, product_id"), "{text}");
}

#[test]
fn a_log_without_a_known_column_is_refused() {
    let error = try_import("who,what\n1,2\n", |_| ()).unwrap_err().to_string();
    for part in ["known to be the user", "who, what", "--user-column", "--no-header"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn columns_without_a_header_are_numbered() {
    let log = "196\t242\t3\t881250949\n196\t302\t3\t881250940\n";
    let read = try_import(log, |options| {
        options.has_header = false;
        options.columns.user = Some("1".into());
        options.columns.item = Some("2".into());
        options.columns.time = Some("4".into());
    });
    let read = read.unwrap();
    assert_eq!(shown(&read.dataset), ["196: 302 242"]);
    assert_eq!(read.dataset.sequences[0].times, Some(vec![881_250_940, 881_250_949]));
}

#[test]
fn fields_of_json_can_have_two_names_or_be_nested() {
    // Half of the lines call the user `user`, the other half `user_id`.
    let log = "{\"user\":\"a\",\"item\":1}\n{\"user_id\":\"b\",\"itemId\":2}\n";
    assert_eq!(shown(&import_text(log).dataset), ["a: 1", "b: 2"]);
    let both = "{\"user\":\"a\",\"user_id\":\"b\",\"item\":1}\n";
    let error = try_import(both, |_| ()).unwrap_err().to_string();
    assert!(error.contains("user and user_id"), "{error}");

    let nested = "{\"context\":{\"user\":{\"id\":\"a\"}},\"properties\":{\"product_id\":7},\
        \"timestamp\":{\"$date\":\"2024-05-01T10:00:00Z\"}}\n";
    let nested = import_text(nested);
    assert_eq!(shown(&nested.dataset), ["a: 7"]);
    assert_eq!(nested.dataset.sequences[0].times, Some(vec![1_714_557_600]));
    let oid = "{\"user\":{\"$oid\":\"5f\"},\"item\":{\"$numberLong\":\"8\"}}\n";
    assert_eq!(shown(&import_text(oid).dataset), ["5f: 8"]);
}

#[test]
fn a_field_that_appears_late_is_found() {
    let mut log = String::new();
    for at in 0..1_500 {
        writeln!(log, "{{\"user\":\"u\",\"item\":{at}}}").unwrap();
    }
    log += "{\"user\":\"u\",\"item\":1500,\"time\":5}\n";
    // A time column of which nearly all rows lack the time.
    let error = try_import(&log, |_| ()).unwrap_err().to_string();
    assert!(error.contains("1500 of 1501 rows"), "{error}");
    let kept = try_import(&log, |options| options.max_bad_rows = 1.0).unwrap();
    assert_eq!(shown(&kept.dataset), ["u: 1500"]);
}

#[test]
fn a_column_of_dates_that_is_not_read_is_named() {
    let log = import_text("user,item,stamp\n1,b,2024-05-02\n1,a,2024-05-01\n");
    assert_eq!(shown(&log.dataset), ["1: b a"]);
    let text = log.summary.to_string();
    assert!(text.contains("column stamp looks like times, but is not read"), "{text}");
    let log = import_text("user,item,dt\n1,b,2024-05-02\n1,a,2024-05-01\n");
    assert_eq!(shown(&log.dataset), ["1: a b"]);
}
