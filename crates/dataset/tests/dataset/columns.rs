//! Which column is what, from the outside.

use std::fmt::Write;

use tandem_dataset::import;

use crate::{Files, import_text, shown, try_import};

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

#[test]
fn rows_without_a_user_take_the_visitor_or_session() {
    let log = import_text("session_id,user_id,item_id,timestamp\ns1,,a,1\ns1,,b,2\ns2,u1,c,3\n");
    assert_eq!(shown(&log.dataset), ["s1: a b", "u1: c"]);
    let text = log.summary.to_string();
    let note = "rows without user_id that take the user from session_id: 2";
    assert!(text.contains(note) && !text.contains("not used: session_id"), "{text}");

    // A session is not merged with a user of the same name.
    let log = import_text("session_id,user_id,item_id\n5,,a\n5,undefined,b\n6,5,c\n");
    assert_eq!(shown(&log.dataset), ["5: c", "session:5: a b"]);

    let segment = "{\"anonymousId\":\"x\",\"userId\":null,\"item\":\"a\"}\n\
        {\"anonymousId\":\"y\",\"userId\":\"u\",\"item\":\"b\"}\n";
    assert_eq!(shown(&import_text(segment).dataset), ["u: b", "x: a"]);

    // A kind of device is no visitor, and a column that is named decides alone.
    let error = try_import("user,device,item\n,phone,a\n", |_| ()).unwrap_err().to_string();
    assert!(error.contains("1 of 1 rows"), "{error}");
    let named = try_import("user_id,session_id,item\n,s,a\n", |options| {
        options.columns.user = Some("user_id".into());
    });
    assert!(named.unwrap_err().to_string().contains("field user_id: expected a user id"));
}

#[test]
fn a_visitor_has_one_name_in_all_files() {
    // Nobody had logged in when the first file was written.
    let files = Files::new(&[
        ("1.jsonl", b"{\"anonymousId\":\"x\",\"item\":\"a\"}\n"),
        (
            "2.jsonl",
            b"{\"anonymousId\":\"x\",\"item\":\"b\"}\n\
            {\"anonymousId\":\"y\",\"userId\":\"u\",\"item\":\"c\"}\n",
        ),
    ]);
    let log = import(&files.options(&["1.jsonl", "2.jsonl"])).unwrap();
    assert_eq!(shown(&log.dataset), ["u: c", "x: a b"]);
}

#[test]
fn a_forgotten_visitor_is_left_out_under_its_name_in_the_dataset() {
    let log = "session_id,user_id,item_id\n5,,a\n6,5,c\n";
    let read = try_import(log, |options| options.forgotten.insert("session:5")).unwrap();
    assert_eq!(shown(&read.dataset), ["5: c"]);
}

#[test]
fn columns_that_are_not_read_are_named() {
    let log = import_text("user,price,item,colour\nu,5,a,red\n");
    let text = log.summary.to_string();
    assert!(text.contains("  not used: price, colour\n"), "{text}");
    let names: Vec<String> = (0..17).map(|at| format!("c{at}")).collect();
    let log = import_text(format!("user,item,{}\nu,a{}\n", names.join(","), ",1".repeat(17)));
    let text = log.summary.to_string();
    assert!(text.contains(", c14 and 2 more\n") && !text.contains("c15"), "{text}");
    let catalogue = crate::with_catalogue("user,item\nu,a\n", "id,title,stock\na,A,5\n");
    assert!(catalogue.summary.to_string().contains("  not used: stock\n"));
}

#[test]
fn a_column_that_looks_like_times_is_warned_of() {
    for (name, value) in [
        ("inserted", "2024-05-01 10:00:00"),
        ("zeit", "01.05.2024 10:00"),
        ("logged", "1714557600"),
        ("ms", "1714557600000"),
    ] {
        let text =
            import_text(format!("user,item,{name}\nu,a,{value}\nu,b,\n")).summary.to_string();
        assert!(text.contains(&format!("column {name} looks like times")), "{text}");
    }
    let text = import_text("user,item,n\n1714557600,1714557600,1\n").summary.to_string();
    assert!(!text.contains("looks like times"), "{text}");
    let mongo = r#"{"user":"u","item":"a","ts":{"$timestamp":{"t":1714557600,"i":3}}}"#;
    assert_eq!(import_text(mongo).dataset.sequences[0].times, Some(vec![1_714_557_600]));
}

#[test]
fn a_date_and_a_time_of_day_are_one_time() {
    let log = "user,item,date,time\nu,b,2024-05-02,09:00\nu,a,2024-05-01,10:00:30\n";
    let read = import_text(log);
    assert_eq!(shown(&read.dataset), ["u: a b"]);
    assert_eq!(read.dataset.sequences[0].times.as_ref().unwrap()[0], 1_714_557_630);
    let text = read.summary.to_string();
    assert!(text.contains("  time: date and time\n") && !text.contains("not used"), "{text}");
    let german = log
        .replace("2024-05-02,09:00", "02.05.2024,09:00")
        .replace("2024-05-01,10:00:30", "01.05.2024,10:00");
    let format = |format: &str| {
        let format = format.to_owned();
        try_import(&german, |options| options.time_format = Some(format))
    };
    assert_eq!(shown(&format("%d.%m.%Y %H:%M").unwrap().dataset), ["u: a b"]);
    // What is no format is refused before the file is read.
    let error = format("dd.mm.yyyy").unwrap_err().to_string();
    assert!(error.contains("\"dd.mm.yyyy\", which is no format"), "{error}");
    let error = try_import(&german, |_| ()).unwrap_err().to_string();
    assert!(error.contains("--time-format '%d.%m.%Y %H:%M'"), "{error}");
}
