//! Every error names the file, the line, what was expected and what was found.

use tandem_dataset::{DatasetError, readers};

use crate::{Files, fault, provenance};

/// Reads `text` as an interaction file.
fn inter(text: &[u8]) -> DatasetError {
    let files = Files::new(&[("a.inter", text)]);
    readers::recbole(&files.path("a.inter"), None, provenance()).unwrap_err()
}

fn csv(text: &[u8]) -> DatasetError {
    let files = Files::new(&[("a.csv", text)]);
    readers::csv(&files.path("a.csv"), None, provenance()).unwrap_err()
}

fn check(error: &DatasetError, line: u64, expected: &str, found: &str) {
    let (_, at, what, instead) = fault(error);
    assert_eq!((at, what, instead), (line, expected, found), "{error}");
}

const HEADER: &str = "user_id:token\titem_id:token\ttimestamp:float\n";

#[test]
fn atomic_files() {
    check(&inter(b""), 1, "a header line", "an empty file");
    check(&inter(b"\n\n"), 1, "a header line", "an empty file");
    check(&inter(HEADER.as_bytes()), 2, "at least one interaction", "the end of the file");
    check(
        &inter(b"1\t2\t3\n"),
        1,
        "columns as name:type with a type of token, token_seq, float, float_seq",
        "\"1\"",
    );
    check(
        &inter(b"user_id:token\trating:float\n"),
        1,
        "a column named item or item_id or itemid or id",
        "the columns user_id:token, rating:float",
    );
    let row = |row: &str| inter(format!("{HEADER}1\t2\t3\n{row}\n").as_bytes());
    check(&row("1\t2"), 3, "3 fields as in the header", "2");
    check(&row("1\t2\t3\t4"), 3, "3 fields as in the header", "4");
    check(&row("\t2\t3"), 3, "a user id", "nothing");
    check(&row("1\t \t3"), 3, "an item id", "nothing");
    check(&row("1\ta\u{7}b\t3"), 3, "an item id", "a control character");
    check(&row("1\t2\tNaN"), 3, "a time as a number", "\"NaN\"");
    check(&row("\r\n\r\n1\t2\tx\r"), 5, "a time as a number", "\"x\"");
    let latin = [HEADER.as_bytes(), b"1\t\xe9\t3\n"].concat();
    check(&inter(&latin), 2, "UTF-8 text", "the byte 0xe9 at column 3");
}

#[test]
fn item_files() {
    let log = format!("{HEADER}1\t2\t3\n");
    let read = |text: &[u8]| {
        let files = Files::new(&[("a.inter", log.as_bytes()), ("a.item", text)]);
        let item = files.path("a.item");
        readers::recbole(&files.path("a.inter"), Some(&item), provenance()).unwrap_err()
    };
    let twice = read(b"item_id:token\tname:token_seq\n1\ta\n1\tb\n");
    check(&twice, 3, "each item once", "1 again");
    assert_eq!(fault(&twice).0, "a.item");
    check(&read(b"item_id:token\n\xff\n"), 2, "UTF-8 text", "the byte 0xff at column 1");
}

#[test]
fn comma_separated_values() {
    check(&csv(b""), 1, "a header line", "an empty file");
    check(&csv(b"user,item\n"), 2, "at least one interaction", "the end of the file");
    check(&csv(b"user,item,time\na,b,1\na,b\n"), 3, "3 fields as in the header", "2");
    check(&csv(b"user,item\na,\"b\nc\"\n"), 2, "an item id", "a control character");
    check(&csv(b"user,item\n\"b,c\",\"d\n1,2\n"), 2, "an item id", "a control character");
    check(&csv(b"user,item\na,b\na,\xff\n"), 3, "UTF-8 text", "another encoding in field 2");
    let (crlf, lf) = ("user,time,item\r\na,1,b\r\na,x,b\r\n", "user,time,item\na,1,b\n\na,x,b\n");
    check(&csv(crlf.as_bytes()), 3, "a time as a number", "\"x\"");
    check(&csv(lf.as_bytes()), 4, "a time as a number", "\"x\"");
    let both = "user,time,item\r\n\r\n\"a\nb\",1,c\r\n";
    check(&csv(both.as_bytes()), 3, "a user id", "a control character");
    check(&csv(b"user,time,item\n\n\na,x,b"), 4, "a time as a number", "\"x\"");

    let files = Files::new(&[("log.csv", b"user,item\na,b\n"), ("i.csv", b"item,year\nb,'95\n")]);
    let items = files.path("i.csv");
    let error = readers::csv(&files.path("log.csv"), Some(&items), provenance()).unwrap_err();
    check(&error, 2, "a year of four digits", "'95");
}

#[test]
fn json_lines() {
    let read = |text: &[u8]| {
        let files = Files::new(&[("a.jsonl", text)]);
        readers::jsonl(&files.path("a.jsonl"), None, provenance()).unwrap_err()
    };
    check(&read(b""), 1, "at least one interaction", "the end of the file");
    for bad in ["{", "[]", "{\"user\":1}", "{\"user\":1,\"item\":[2]}", "{\"user\":1,\"item\":2.5}"]
    {
        let error = read(format!("{{\"user\":1,\"item\":2}}\n{bad}\n").as_bytes());
        let (_, line, expected, _) = fault(&error);
        assert_eq!((line, expected), (2, "a JSON object"), "{error}");
    }
    let mixed = b"{\"user\":1,\"item\":2,\"time\":3}\n{\"user\":1,\"item\":2}\n";
    check(&read(mixed), 2, "a time, as in the lines before", "none");
    check(&read(b"{\"user\":\"\",\"item\":2}"), 1, "a user id", "nothing");
}

#[test]
fn sequence_text() {
    let read = |sequences: &[u8], times: &[u8]| {
        let files = Files::new(&[("sequences.txt", sequences), ("times.txt", times)]);
        readers::sequences(&files.path(""), provenance()).unwrap_err()
    };
    check(&read(b"", b""), 1, "a user and at least one item", "the end of the file");
    check(&read(b"1 2\n3\n", b""), 2, "a user and at least one item", "user 3 alone");
    check(&read(b"1 2\n1 3\n", b""), 2, "one line for each user", "user 1 again");
    let two = b"1 2 3\n\n4 5\n";
    check(
        &read(two, b"1 1 2\n4 1 2\n"),
        2,
        "user 4 and 1 times as in line 3 of sequences.txt",
        "user 4 and 2 times",
    );
    check(
        &read(two, b"1 1 2\n5 1\n"),
        2,
        "user 4 and 1 times as in line 3 of sequences.txt",
        "user 5 and 1 times",
    );
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

#[test]
fn a_missing_file_is_named() {
    let files = Files::new(&[]);
    let error = readers::csv(&files.path("none.csv"), None, provenance()).unwrap_err();
    assert!(matches!(&error, DatasetError::Io { action: "open", .. }));
    assert!(error.to_string().contains("none.csv"), "{error}");
}
