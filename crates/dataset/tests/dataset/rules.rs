//! Which rows become interactions.

use std::fmt::Write;

use tandem_dataset::{Dataset, ImportOptions, Repeats, import};

use crate::{Files, import_text, left_out, shown, try_import};

#[test]
fn the_steps_to_a_purchase_are_one_interaction() {
    let log = "user,item,time,event\n\
        u,a,1,view\nu,a,2,addtocart\nu,a,3,transaction\n\
        u,b,4,view\nu,c,5,view\nu,b,6,transaction\n";
    let kept = try_import(log, |options| options.repeats = Repeats::Keep).unwrap();
    // The cart and the purchase of a follow its view; b was left in between.
    assert_eq!(shown(&kept.dataset), ["u: a b c b"]);
    assert_eq!(
        left_out(&kept),
        [(2, "events after a lighter one on the same item, such as a cart after a view")]
    );
    let bought = try_import(log, |options| options.min_event_weight = 5).unwrap();
    assert_eq!(shown(&bought.dataset), ["u: a b"]);
}

#[test]
fn weights_of_event_types_can_be_given() {
    let log = "user,item,time,type\nu,a,1,like\nu,b,2,scroll_depth\nu,c,3,view\nu,d,4,return\n";
    let known = import_text(log);
    assert_eq!(shown(&known.dataset), ["u: a c"]);
    assert!(known.summary.to_string().contains("--event \"scroll_depth\"=1"), "{}", known.summary);
    let given = try_import(log, |options| {
        options.event_weights =
            vec![("scroll_depth".into(), 1), ("view".into(), 0), ("return".into(), 5)];
    });
    assert_eq!(shown(&given.unwrap().dataset), ["u: a b d"]);
}

#[test]
fn events_about_no_item_are_no_bad_rows() {
    let log = "{\"userId\":\"u\",\"event\":\"Product Viewed\",\"properties\":{\"product_id\":\"a\"}}\n\
        {\"userId\":\"u\",\"event\":\"Page Loaded\"}\n{\"userId\":\"u\",\"event\":\"search\"}\n\
        {\"userId\":\"u\",\"event\":\"search\"}\n";
    let read = import_text(log);
    assert_eq!(shown(&read.dataset), ["u: a"]);
    let expected =
        [(1, "event \"Page Loaded\" without an item"), (2, "events \"search\" without an item")];
    assert_eq!(left_out(&read), expected);
    // As in GA4, where an event of any type can lack its item.
    let views = import_text(log.replace("search", "view"));
    assert_eq!(left_out(&views)[1], (2, "events \"view\" without an item"));
}

#[test]
fn rows_without_item_and_event_type_are_left_out_where_other_rows_have_one() {
    // Calls of Segment: only `track` has an event.
    let log = r#"{"type":"track","userId":"u","event":"Product Viewed","properties":{"product_id":"a"}}
{"type":"page","userId":"u","properties":{"path":"/"}}
{"type":"identify","userId":"u","traits":{"plan":"x"}}
"#;
    let read = import_text(log);
    assert_eq!(shown(&read.dataset), ["u: a"]);
    assert_eq!(left_out(&read), [(2, "rows without an item and without an event type")]);
    // Without an event column, an empty cell is a mistake.
    let error = try_import("user,item\nu,a\nu,\n", |_| ()).unwrap_err().to_string();
    assert!(error.contains("field item: expected an item id, found nothing"), "{error}");
}

#[test]
fn events_of_interest_that_mostly_lack_their_item_are_warned_of() {
    let log = "user,item,event\nu,a,view\nu,b,view\nu,,view\nu,a,purchase\nu,,purchase\n\
        u,,purchase\nu,,search\nu,,search\n";
    let notes = import_text(log).summary.notes;
    let warnings: Vec<_> = notes.iter().filter(|note| note.starts_with("warning")).collect();
    assert_eq!(warnings.len(), 1, "{notes:?}");
    assert!(warnings[0].contains("events \"purchase\" without an item: 2 of 3;"), "{notes:?}");
}

#[test]
fn an_event_with_a_list_of_items_is_one_interaction_for_each() {
    // The export of GA4: of each element some fields are known, and an event can have no items.
    let ga4 = r#"{"user_pseudo_id":"u","event_name":"view_item","event_timestamp":1700000000000000,"items":[{"item_id":"a","price":3}],"event_params":[{"key":"page","value":{"string_value":"x"}}]}
{"user_pseudo_id":"u","event_name":"purchase","event_timestamp":1700000001000000,"items":[{"item_id":"b"},{"item_id":"c","quantity":2},{"item_id":"b"}]}
{"user_pseudo_id":"u","event_name":"purchase","event_timestamp":1700000002000000,"items":[]}
"#;
    let read = import_text(ga4);
    assert_eq!(shown(&read.dataset), ["u: a b c"]);
    let summary = read.summary.to_string();
    assert!(summary.contains("item: items.item_id"), "{summary}");
    assert!(summary.contains("1 event \"purchase\" without an item"), "{summary}");

    // Segment: the item of a view is in the event itself, those of an order are in a list.
    let segment = r#"{"userId":"u","event":"Product Viewed","timestamp":"2026-01-01T00:00:00Z","properties":{"product_id":"a"}}
{"userId":"u","event":"Order Completed","timestamp":"2026-01-01T00:01:00Z","properties":{"products":[{"product_id":"b"},{"product_id":"c"}]}}
"#;
    assert_eq!(shown(&import_text(segment).dataset), ["u: a b c"]);

    // Orders of a shop: the id of a line is not the item, and lines are one array in one file.
    let orders = r#"[{"id":1,"customer":{"id":7},"created_at":"2026-01-01T00:00:00Z","line_items":[{"id":90,"product_id":"a"},{"id":91,"product_id":"b"}]}]"#;
    let read = try_import(orders, |options| options.columns.user = Some("customer.id".into()));
    assert_eq!(shown(&read.unwrap().dataset), ["7: a b"]);

    // Elements with nothing but an id of their own.
    let contents = "{\"user\":\"u\",\"contents\":[{\"id\":\"a\"},{\"id\":\"b\"}]}\n";
    assert_eq!(shown(&import_text(contents).dataset), ["u: a b"]);

    // A list of texts is not known to hold items.
    let texts = "{\"user\":\"u\",\"items\":[\"a\",\"b\"]}\n";
    let error = try_import(texts, |_| ()).unwrap_err().to_string();
    assert!(error.contains("column items may be a list") && error.contains("item_id"), "{error}");
}

#[test]
fn a_type_that_is_no_event_type_is_ignored_with_a_note() {
    let log = "user,item,time,type\nu,a,1,shirt\nu,b,2,shoe\n";
    let ignored = import_text(log);
    assert_eq!(shown(&ignored.dataset), ["u: a b"]);
    assert!(ignored.summary.notes[0].contains("shirt, shoe"), "{:?}", ignored.summary.notes);
    let named = try_import(log, |options| options.columns.event = Some("type".into()));
    let error = named.unwrap_err().to_string();
    assert!(error.contains("--event NAME=WEIGHT"), "{error}");
    let numbers = try_import("user,item,time,behavior_type\nu,a,1,1\nu,b,2,4\n", |options| {
        options.event_weights = vec![("4".into(), 5), ("1".into(), 0)];
    });
    assert_eq!(shown(&numbers.unwrap().dataset), ["u: b"]);
}

#[test]
fn views_of_the_servers_own_log_are_impressions() {
    let line = |item, kind| {
        format!(
            "{{\"user\":\"s\",\"item\":\"{item}\",\"timestamp\":17000000{item}0000,\"type\":\"{kind}\",\"id\":\"s-{item}\"}}\n"
        )
    };
    let signals = line(11, "view") + &line(12, "dislike");
    let files = Files::new(&[
        ("new.jsonl", line(14, "click").as_bytes()),
        ("old.jsonl", line(13, "purchase").as_bytes()),
        ("signals.jsonl", signals.as_bytes()),
    ]);
    let names = ["new.jsonl", "old.jsonl", "signals.jsonl"];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let log = import(&files.options(&order.map(|at| names[at]))).unwrap();
        assert_eq!(shown(&log.dataset), ["s: 13 14"]);
        assert_eq!(log.summary.left_out.len(), 2);
    }
    // Elsewhere, a view is a page view.
    let page = import_text("user,item,timestamp,type\ns,1,1700000000,view\n");
    assert_eq!(shown(&page.dataset), ["s: 1"]);
}

#[test]
fn ratings_and_quantities_can_speak_against_an_item() {
    let stars = "user;item;stars\nu;a;4,5\nu;b;3,9\nu;c;\n";
    assert_eq!(shown(&import_text(stars).dataset), ["u: a b c"]);
    let four = try_import(stars, |options| options.min_rating = Some(4.0)).unwrap();
    assert_eq!(shown(&four.dataset), ["u: a"]);
    let words = "user,item,rating\nu,a,good\nu,b,-1\n";
    assert_eq!(shown(&import_text(words).dataset), ["u: a"]);
    let error = try_import(words, |options| options.min_rating = Some(1.0)).unwrap_err();
    assert!(error.to_string().contains("field rating: expected a rating as a number"), "{error}");
    let none = try_import("user,item\nu,a\n", |options| options.min_rating = Some(1.0));
    assert!(none.unwrap_err().to_string().contains("--rating-column"));

    let shop = "InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID\n\
        1,85123A,6,2010-12-01 08:26,17850.0\nC2,85123A,-6,2010-12-02 08:26,17850.0\n";
    let shop = import_text(shop);
    assert_eq!(shown(&shop.dataset), ["17850: 85123A"]);
    assert_eq!(left_out(&shop), [(1, "quantity of 0 or less, which is a return")]);
}

#[test]
fn duplicates_differ_in_nothing_that_counts() {
    let log = "user,item,time,event,page\n\
        u,a,1,view,x\nu,a,1,view,y\nu,a,1,purchase,x\nu,a,2,view,x\n";
    let kept = try_import(log, |options| options.repeats = Repeats::Keep).unwrap();
    // One view; the purchase in the same second is a step; the later view is another one.
    assert_eq!(shown(&kept.dataset), ["u: a a"]);
    // Without times, rows cannot be told from repeats.
    let untimed = try_import("user,item\nu,a\nu,a\n", |options| options.repeats = Repeats::Keep);
    assert_eq!(shown(&untimed.unwrap().dataset), ["u: a a"]);
}

#[test]
fn repeats_are_decided_by_the_last_items() {
    // `returning` of 20 users end with an item that they had before; v has too few items.
    let log = |users: usize, returning: usize, reloads: &str| {
        let mut log = "user,item,time\nv,x,1\nv,x,2\n".to_owned();
        for user in 0..users {
            let last = if user < returning { "x" } else { "z" };
            write!(log, "u{user},x,1\nu{user},y,2\nu{user},{last},3\n").unwrap();
            log.push_str(&reloads.replace('U', &format!("u{user}")));
        }
        log
    };
    let auto = import_text(log(20, 11, ""));
    assert_eq!(auto.summary.repeated_targets, (20, 11));
    assert!(auto.dataset.repeats && auto.summary.repeats);
    assert_eq!(auto.dataset.interactions(), 62);
    assert!(auto.summary.to_string().contains("the last item of 11 of 20 users is one"));
    let half = import_text(log(20, 10, ""));
    assert!(!half.dataset.repeats);
    assert_eq!(shown(&half.dataset)[0], "u0: x y");
    assert_eq!(half.summary.left_out[0].rows, 11);
    // 19 users are too few.
    let few = import_text(log(19, 19, ""));
    assert!(!few.dataset.repeats);
    assert!(few.summary.to_string().contains("too few to decide"), "{}", few.summary);
    // Every user loads the last page again.
    let reloaded = import_text(log(20, 0, "U,z,4\nU,z,5\n"));
    assert_eq!(reloaded.summary.repeated_targets, (20, 0));
    assert!(!reloaded.dataset.repeats);

    let files = Files::new(&[]);
    for imported in [auto, half] {
        imported.save(&files.path("set")).unwrap();
        let loaded = Dataset::load(&files.path("set")).unwrap();
        assert_eq!(loaded.repeats, imported.dataset.repeats);
    }
}

#[test]
fn ratings_in_stars_are_counted_and_those_in_words_are_reported() {
    let log = "user,item,rating\nu,a,★★★★\nu,b,★★☆☆☆\n";
    let read = try_import(log, |options| options.min_rating = Some(3.0)).unwrap();
    assert_eq!(shown(&read.dataset), ["u: a"]);
    let log = "user,item,rating\nu,a,like\nu,b,dislike\nu,c,5\n";
    let read = import_text(log);
    assert_eq!(shown(&read.dataset), ["u: a b c"]);
    let text = read.summary.to_string();
    assert!(text.contains("no numbers: 2, for example \"like\""), "{text}");
    let events = try_import(log, |options| options.columns.event = Some("rating".into())).unwrap();
    assert_eq!(shown(&events.dataset), ["u: a"]);
    assert!(!events.summary.to_string().contains("no numbers"), "{}", events.summary);
}

#[test]
fn users_who_may_be_many_people_are_warned_of() {
    // 60 users with 3 rows each, and one with `rows`.
    let warnings = |user: &str, rows: usize| {
        let mut log = "user,item,time\n".to_owned();
        for at in 0..180 {
            writeln!(log, "u{},i{},{at}", at % 60, at % 7).unwrap();
        }
        for at in 0..rows {
            writeln!(log, "{user},i{at},{at}").unwrap();
        }
        let notes = import_text(log).summary.notes;
        notes.into_iter().filter(|note| note.starts_with("warning")).collect::<Vec<_>>()
    };
    let large = warnings("u-x", 61);
    assert!(large[0].contains("61 of 241 rows are of user u-x, who may be many"), "{large:?}");
    // Not more than 20 times the median of 3.
    assert!(warnings("u-x", 60).is_empty());
    for word in ["0", "-1", "Guest", "anonymous", "none", "UNKNOWN"] {
        let nobody = warnings(word, 10);
        let part = format!("10 of 190 rows are of user {word}, whose id");
        assert_eq!(nobody.len(), 1, "{nobody:?}");
        assert!(nobody[0].contains(&part), "{nobody:?}");
        // Three times the median of 3: users can be numbered from 0.
        assert!(warnings(word, 9).is_empty());
    }
}

#[test]
fn bots_are_left_out() {
    let mut log = "user,item,time\n".to_owned();
    for event in 0..40 {
        writeln!(log, "robot,i{event},{}", 1_700_000_000 + event).unwrap();
        // Over two hours.
        writeln!(log, "human,i{event},{}", 1_700_000_000 + 180 * event).unwrap();
    }
    let limit = |max_events_per_user_hour| {
        try_import(&log, |options| options.max_events_per_user_hour = max_events_per_user_hour)
            .unwrap()
    };
    assert_eq!(limit(40).summary.users, 2);
    let strict = limit(25);
    assert_eq!((strict.summary.users, strict.dataset.sequences[0].user.as_str()), (1, "human"));
    assert_eq!(strict.summary.left_out[0].rows, 40);
    assert!(strict.summary.notes[0].contains("1 user with"), "{:?}", strict.summary.notes);
    // Numbers that are no dates have no hours.
    let mut order = String::new();
    for event in 0..40 {
        writeln!(order, "u,i{event},{event}").unwrap();
    }
    let order = try_import(format!("user,item,time\n{order}"), |options| {
        options.max_events_per_user_hour = 1;
    });
    assert_eq!(order.unwrap().dataset.interactions(), 40);
}

#[test]
fn a_log_of_which_nothing_counts_is_refused() {
    let error = try_import("user,item,event\nu,a,dislike\n", |_| ()).unwrap_err().to_string();
    assert!(error.contains("no interaction that counts") && error.contains("dislike"), "{error}");
    let error = try_import("user,item\n", |_| ()).unwrap_err().to_string();
    assert!(error.contains("has no interaction"), "{error}");
}

#[test]
fn the_summary_shows_how_the_first_rows_were_understood() {
    let log = "visitor_id,session_id,sku,ts,event\n\
        v2,s1,b,1700000001000,view\nv1,s1,a,1700000000000,click\nv1,s2,a,1700000003000,dislike\n";
    let imported = import_text(log);
    let text = imported.summary.to_string();
    for part in [
        "comma-separated, 3 rows",
        "  user: visitor_id",
        "  item: sku",
        "  time: ts",
        "  event type: event",
        "  milliseconds since 1970, 2023-11-14T22:13:20Z to 2023-11-14T22:13:23Z",
        "  not used: session_id",
        "  user v2, item b, 2023-11-14T22:13:21Z, view",
        "  1 event \"dislike\", which is a dislike or return; first: ",
        "test: 2 users, 2 items, 2 interactions",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let untimed = import_text("user,item\nu,a\n").summary.to_string();
    assert!(untimed.contains("no times: the order of the file counts"), "{untimed}");
}

#[test]
fn files_with_and_without_times_are_not_mixed() {
    let files = Files::new(&[("a", b"user,item,time\nu,a,1\n"), ("b", b"user,item\nu,b\n")]);
    let error = import(&files.options(&["a", "b"])).unwrap_err().to_string();
    assert!(error.contains("--time-column"), "{error}");
    let both = ImportOptions { catalogue: vec![files.path("b")], ..files.options(&["a", "a"]) };
    assert!(import(&both).unwrap_err().to_string().contains("is given twice"));
}

#[test]
fn forgotten_users_are_left_out_without_their_names() {
    let text = b"user,item,time,rating\n5.0,a,1,0\n5.0,b,2,4\n6.0,a,1,4\n6.0,b,2,4\n";
    let files = Files::new(&[("a.csv", text), ("sequences.txt", b"5 a b\n6 b c\n")]);
    let mut options = files.options(&["a.csv"]);
    options.forgotten.insert("5");
    let log = import(&options).unwrap();
    assert_eq!(shown(&log.dataset), ["6: a b"]);
    assert_eq!(left_out(&log), [(2, "rows of users who asked to be forgotten")]);
    assert!(!log.summary.to_string().contains("user 5"), "{}", log.summary);

    options.events = vec![files.path("")];
    assert_eq!(shown(&import(&options).unwrap().dataset), ["6: b c"]);
}

#[test]
fn a_server_that_has_logged_nothing_yet_is_no_error() {
    let text = b"user,item,time\n1,a,1\n1,b,2\n";
    let files = Files::new(&[("a.csv", text), ("interactions.jsonl", b"")]);
    let log = import(&files.options(&["a.csv", "interactions.jsonl"])).unwrap();
    assert_eq!(shown(&log.dataset), ["1: a b"]);
    assert!(log.summary.to_string().contains("interactions.jsonl is empty"), "{}", log.summary);
    let refused = import(&files.options(&["interactions.jsonl"])).unwrap_err().to_string();
    assert!(refused.contains("interactions.jsonl is empty"), "{refused}");
}

#[test]
fn the_list_that_led_to_an_event_is_no_column() {
    let line = |item: &str, id: &str, end: &str| {
        format!(
            "{{\"user\":\"s\",\"item\":\"{item}\",\"timestamp\":1700000000000,\"type\":\"click\",\"id\":\"{id}\"{end}}}\n"
        )
    };
    let list = ",\"recommendation\":\"r1\"";
    for log in
        [line("a", "1", "") + &line("b", "2", list), line("a", "1", list) + &line("b", "2", list)]
    {
        let log = import_text(log);
        assert_eq!(shown(&log.dataset), ["s: a b"]);
        assert!(!log.summary.to_string().contains("recommendation"), "{}", log.summary);
    }
}

#[test]
fn days_of_eight_digits_are_dates() {
    let log = import_text("user,item,date\nu,z,20240102\nu,b,20240103\nu,a,20240101\n");
    assert_eq!(shown(&log.dataset), ["u: a z b"]);
    // date -u -d 2024-01-01 +%s
    let day = 1_704_067_200;
    let times = vec![day, day + 86_400, day + 172_800];
    assert_eq!(log.dataset.sequences[0].times, Some(times));
    assert!(log.summary.to_string().contains("dates, 2024-01-01T00:00:00Z"), "{}", log.summary);

    let files = Files::new(&[
        ("days", b"user,item,date\nu,new,20240102\n"),
        ("seconds", b"user,item,timestamp\nu,old,1600000000\n"),
    ]);
    let both = import(&files.options(&["days", "seconds"])).unwrap();
    assert_eq!(shown(&both.dataset), ["u: old new"]);
    // The 30th of February is none, so the column is a column of numbers.
    let numbers = import_text("user,item,date\nu,a,20240102\nu,b,20240230\n");
    assert_eq!(numbers.dataset.sequences[0].times, Some(vec![20_240_102, 20_240_230]));
}

#[test]
fn dates_and_positions_are_not_mixed() {
    let files = Files::new(&[
        ("order", b"user,item,ts\nu,a,1\nu,b,2\n"),
        ("dates", b"user,item,date\nu,c,2024-05-01\n"),
    ]);
    for order in [["order", "dates"], ["dates", "order"]] {
        let error = import(&files.options(&order)).unwrap_err().to_string();
        for part in
            ["order has numbers", "column ts", "dates has dates", "column date;", "--time-column"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn quantities_of_spreadsheets_are_read_and_others_are_bad_rows() {
    let log =
        "user,item,qty\nu,a,\"-1,0\"\nu,b,-2.0\nu,c,(1)\nu,d,\u{2212}1\nu,e,1\nu,f,\nu,g,abc\n";
    let error = try_import(log, |_| ()).unwrap_err().to_string();
    let expected = "line 8: field qty: expected a quantity as a number, found \"abc\"";
    assert!(error.contains("1 of 7 rows") && error.contains(expected), "{error}");
    let read = try_import(log, |options| options.max_bad_rows = 0.2).unwrap();
    assert_eq!(shown(&read.dataset), ["u: e f"]);
    assert_eq!(left_out(&read), [(4, "quantities of 0 or less, which are returns")]);
}

#[test]
fn a_quantity_can_be_named() {
    let log = "user,item,menge\nu,a,-1\nu,b,2\n";
    assert_eq!(shown(&import_text(log).dataset), ["u: a b"]);
    let named = try_import(log, |options| options.columns.quantity = Some("Menge".into()));
    assert_eq!(shown(&named.unwrap().dataset), ["u: b"]);
}
