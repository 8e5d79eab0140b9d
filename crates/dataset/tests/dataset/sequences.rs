//! Folders of sequences.

use tandem_dataset::{DatasetError, ImportOptions, Repeats, import};

use crate::{Files, fault, items, shown};

fn options(files: &Files) -> ImportOptions {
    ImportOptions { max_bad_rows: 1.0, ..files.options(&[""]) }
}

#[test]
fn the_order_of_a_line_is_kept() {
    let files = Files::new(&[
        ("sequences.txt", b"2 3 1\n1 10 2 10\n"),
        ("times.txt", b"2 5 5\n1 1 2 2\n"),
        (
            "items.tsv",
            b"item_id\texternal_id\ttitle\tcategories\n1\tB0\tA \"quoted\" thing\tX > Y & Z\n2\tB1\t\t\n",
        ),
    ]);
    let read = import(&options(&files)).unwrap();
    assert_eq!(shown(&read.dataset), ["1: 10 2 10", "2: 3 1"]);
    assert_eq!(read.dataset.sequences[1].times, Some(vec![5, 5]));
    assert_eq!(items(&read)[0], "1 \"A \\\"quoted\\\" thing\" - X|Y & Z");
    assert_eq!(read.dataset.catalogue.len(), 4);
    // The only user with a target repeats an item, which is too few for a decision.
    assert!(!read.dataset.repeats);
    let kept = import(&ImportOptions { repeats: Repeats::Keep, ..options(&files) }).unwrap();
    assert!(kept.dataset.repeats);
    assert_eq!(shown(&kept.dataset), shown(&read.dataset));

    let bare = Files::new(&[("sequences.txt", b"1 1 2"), ("log.csv", b"user,item\n1,1\n")]);
    let read = import(&options(&bare)).unwrap();
    assert_eq!(read.dataset.sequences[0].times, None);
    let mixed = import(&bare.options(&["", "log.csv"])).unwrap_err().to_string();
    assert!(mixed.contains("cannot be combined"), "{mixed}");
}

fn check(error: &DatasetError, line: u64, expected: &str, found: &str) {
    let (_, at, what, instead) = fault(error);
    assert_eq!((at, what, instead), (line, expected, found), "{error}");
}

#[test]
fn violations_name_the_line() {
    let read = |sequences: &[u8], times: &[u8]| {
        let files = Files::new(&[("sequences.txt", sequences), ("times.txt", times)]);
        import(&options(&files)).unwrap_err()
    };
    check(&read(b"", b""), 1, "a user and at least one item", "the end of the file");
    check(&read(b"1 2\n3\n", b""), 2, "a user and at least one item", "user 3 alone");
    check(&read(b"1 2\n1 3\n", b""), 2, "one line for each user", "user 1 again");
    let two = b"1 2 3\n\n4 5\n";
    for times in [&b"1 1 2\n4 1 2\n"[..], b"1 1 2\n5 1\n"] {
        let found = if times[6] == b'4' { "user 4 and 2 times" } else { "user 5 and 1 times" };
        let expected = "user 4 and 1 times as in line 3 of sequences.txt";
        check(&read(two, times), 2, expected, found);
    }
    check(&read(two, b"1 2 1\n"), 1, "ascending times, oldest first", "1 after 2");
    check(&read(two, b"1 2 x\n"), 1, "times as numbers", "\"x\"");
    check(
        &read(two, b"1 1 2\n"),
        1,
        "times for user 4 too, as in sequences.txt",
        "the end of the file",
    );
    check(
        &read(two, b"1 1 2\n4 1\n6 1\n"),
        3,
        "as many lines as sequences.txt",
        "one more, for user 6",
    );
}
