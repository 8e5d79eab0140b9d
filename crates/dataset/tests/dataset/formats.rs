//! Formats, compression and encodings are detected by content.

use std::io::Write;

use tandem_dataset::{ImportOptions, import};

use crate::{Files, import_text, shown, try_import};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn utf16(text: &str, bom: bool) -> Vec<u8> {
    let mark = bom.then_some(0xfeff_u16);
    mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

const LOG: &str = "user,item,time\nä,b,2\nä,c,1\n";

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, format: &str) {
    let read = import_text(bytes);
    assert_eq!(shown(&read.dataset), ["ä: c b"]);
    assert_eq!(read.summary.files[0].format, format);
}

#[test]
fn delimited_text() {
    check(LOG, "comma-separated");
    check(LOG.replace(',', "\t"), "tab-separated");
    let orange = "user\titem\ttime\nd\td\tc\nrow=1\tcol=1\tclass\nä\tb\t2\nä\tc\t1\n";
    check(orange, "tab-separated, of Orange");
    check(LOG.replace(',', ";"), "semicolon-separated");
    check(LOG.replace(',', "|"), "separated by |");
    check(format!("sep=;\n{}", LOG.replace(',', ";")), "semicolon-separated");
    check("\"user\",\"item\",\"time\"\n\"ä\",\"b\",\"2\"\n\"ä\",\"c\",\"1\"\n", "comma-separated");
    check(LOG.replace('\n', ",\n").replacen(",\n", "\n", 1), "comma-separated");
    check(
        format!("\u{feff}{}\r\n,,\r\n\r\n", LOG.trim_end().replace('\n', "\r\n")),
        "comma-separated",
    );
}

#[test]
fn json() {
    let lines = "{\"user\":\"ä\",\"item\":\"b\",\"time\":2}\n\n{\"user\":\"ä\",\"item\":\"c\",\"time\":1}\n";
    check(lines, "JSON lines");
    let array = format!("[{}]", lines.trim_end().replace("}\n\n", "},"));
    check(&array, "JSON");
    check(array.replace(',', ",\n  ").replace('{', "{\n"), "JSON");
    // As `jq` writes it.
    check(lines.replace(',', ",\n"), "JSON");
    let odd = "[{\"user\":\"}{\\\"\",\"item\":\"[,]\"},\n\n 5, {\"user\":\"a\",\n\"item\":\"b\"}]";
    let odd = try_import(odd, |options| options.max_bad_rows = 0.5).unwrap();
    assert_eq!(shown(&odd.dataset), ["a: b", "}{\": [,]"]);
    assert_eq!(odd.summary.bad_rows[0].line, 3);
}

#[test]
fn compressed() {
    check(gzip(LOG.as_bytes()), "comma-separated, gzip");
    // Two members, as `cat a.gz b.gz` makes them.
    let (first, rest) = LOG.split_at(18);
    check([gzip(first.as_bytes()), gzip(rest.as_bytes())].concat(), "comma-separated, gzip");
    check(zstd::encode_all(LOG.as_bytes(), 1).unwrap(), "comma-separated, zstd");
    check(gzip(&utf16(LOG, true)), "comma-separated, gzip, UTF-16");
    let cut = &gzip(LOG.repeat(999).as_bytes())[..40];
    let error = try_import(cut, |_| ()).unwrap_err();
    assert!(error.blames_input() && error.to_string().contains("cannot read"), "{error}");
}

#[test]
fn encodings() {
    check(utf16(LOG, true), "comma-separated, UTF-16");
    check(utf16(LOG, false), "comma-separated, UTF-16");
    let latin: Vec<u8> = LOG.chars().map(|letter| letter as u8).collect();
    check(latin, "comma-separated, Windows-1252");
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    for (bytes, advice) in [
        (&b"PK\x03\x04xx"[..], "save the sheet as CSV"),
        (b"BZh91AY", "compress it with gzip or zstd"),
        (b"SQLite format 3\0", "export the table as CSV"),
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not a table: starts with the mark of a PNG image"),
        (b"\n<!DOCTYPE html>\n<html>", "is not a table: starts with \"<!DOCTYPE html>\""),
        (b"<?xml version=\"1.0\"?>", "is not a table: starts with"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "is not a table: starts with \"\\u{7f}ELF"),
        (b"PAR1 and no more", "not a Parquet file that can be read"),
    ] {
        let error = try_import(bytes, |_| ()).unwrap_err();
        assert!(error.blames_input() && error.to_string().contains(advice), "{error}");
    }
    let files = Files::new(&[]);
    let error = import(&files.options(&[""])).unwrap_err().to_string();
    assert!(error.contains("is a folder; give its files"), "{error}");
    let error = import(&files.options(&["none"])).unwrap_err();
    assert!(error.to_string().contains("cannot open"), "{error}");
}

#[test]
fn several_files_and_patterns() {
    let files = Files::new(&[
        ("1.csv", b"user,item,time\nu,a,1700000003\n"),
        ("2.jsonl", b"{\"userId\":\"u\",\"sku\":\"b\",\"createdAt\":\"2023-11-14T22:13:20Z\"}\n"),
        ("3.tsv", b"visitor\tproduct\tts\nu\tc\t1700000001000\n"),
    ]);
    let both = import(&files.options(&["1.csv", "2.jsonl", "3.tsv"])).unwrap();
    let pattern = import(&files.options(&["?.*"])).unwrap();
    for read in [both, pattern] {
        assert_eq!(shown(&read.dataset), ["u: b c a"]);
        assert_eq!(read.dataset.sequences[0].times.as_ref().unwrap()[0], 1_700_000_000);
        assert_eq!(read.summary.files.len(), 3);
    }
    let none = import(&ImportOptions::new("n", [])).unwrap_err().to_string();
    assert!(none.contains("needs a file of interactions"), "{none}");
}

#[test]
fn without_times_the_order_of_the_files_counts() {
    let files = Files::new(&[("b", b"item,user\n3,u\n1,u\n"), ("a", b"item,user\n2,u\n1,v\n")]);
    let read = import(&files.options(&["b", "a"])).unwrap();
    assert_eq!(shown(&read.dataset), ["u: 3 1 2", "v: 1"]);
    assert_eq!(read.dataset.sequences[0].times, None);
}

#[test]
fn interactions_are_sorted_by_time_then_by_item() {
    let read = import_text("user,item,time\n10,2,20\n9,7,5.9\n10,10,10\n10,9,10\n9,8,5.1\n");
    // Users as numbers; the tie at time 10 by item number; fractions of a second count.
    assert_eq!(shown(&read.dataset), ["9: 8 7", "10: 9 10 2"]);
    assert_eq!(read.dataset.sequences[0].times, Some(vec![5, 5]));
    let counts: Vec<u32> = read.dataset.catalogue.items().iter().map(|item| item.count).collect();
    // Training part: both of user 9 (too short for a split), the first of user 10.
    assert_eq!(counts, [0, 1, 1, 1, 0]);
}

#[test]
fn a_json_file_can_be_one_object_around_the_rows() {
    let expected = ["u: a b", "v: a"];
    for log in [
        r#"{"data":{"events":[{"user":"u","item":"a","ts":1},{"user":"u","item":"b","ts":2},{"user":"v","item":"a","ts":3}]}}"#,
        r#"{"orders":[{"user":"u","ts":1,"line_items":[{"product_id":"a"},{"product_id":"b"}]},
            {"user":"v","ts":2,"line_items":[{"product_id":"a"}]}],
            "count":2}"#,
    ] {
        assert_eq!(shown(&import_text(log).dataset), expected, "{log}");
    }
    let products =
        r#"{"products":[{"id":"a","title":"A","variants":[{"id":1}]},{"id":"b","title":"B"}]}"#;
    let read = crate::with_catalogue("user,item\nu,a\nu,b\n", products);
    assert_eq!(crate::items(&read), ["a \"A\" -", "b \"B\" -"]);

    let two = r#"{"orders":[{"user":"u","item":"a"}],"customers":[{"id":"u"}]}"#;
    let error = crate::try_import(two, |_| ()).unwrap_err().to_string();
    assert!(error.contains("orders") && error.contains("jq -c '."), "{error}");
}
