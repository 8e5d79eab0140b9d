use super::*;

impl Refusal {
    fn error(self) -> LineError {
        let (Self::Line(error) | Self::Rest(error)) = self;
        error
    }
}

/// The lines of a text that arrives in pieces of every size.
fn cut(format: Format, text: &str) -> Vec<(u64, String)> {
    let mut results = (1..=text.len()).map(|size| {
        let mut lines = Lines::of_items(format);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            found.extend(lines.push(piece).unwrap());
        }
        found.extend(lines.finish());
        let texts = found.into_iter();
        texts.map(|(line, text)| (line, String::from_utf8(text).unwrap())).collect::<Vec<_>>()
    });
    let first = results.next().unwrap();
    assert!(results.all(|other| other == first), "the size of the pieces matters");
    first
}

#[test]
fn lines_do_not_depend_on_the_pieces() {
    let numbered = |lines: &[(u64, &str)]| -> Vec<(u64, String)> {
        lines.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    };
    let json = "{\"id\":\"a\"}\n\n{\"id\":\"\\\"\"}";
    let expected = [(1, "{\"id\":\"a\"}"), (2, ""), (3, "{\"id\":\"\\\"\"}")];
    assert_eq!(cut(Format::Json, json), numbered(&expected));
    let csv = "id,title\n1,\"two\nlines \"\"x\"\"\n\"\n2,b\n";
    let expected = [(1, "id,title"), (2, "1,\"two\nlines \"\"x\"\"\n\""), (5, "2,b")];
    assert_eq!(cut(Format::Csv, csv), numbered(&expected));
}

#[test]
fn a_line_that_is_no_object_is_refused() {
    let mut lines = Lines::of_items(Format::Json);
    for text in ["[\"a\",true]", "[]", "null", "\"a\"", "7"] {
        let line = (1, text.as_bytes().to_vec());
        let error = lines.availability(&line).unwrap_err().error();
        assert!(error.detail.starts_with("expected a JSON object"), "{text}: {error:?}");
        assert!(lines.item(&line).is_err(), "{text}");
    }
    let line = (1, b" {\"id\":\"a\",\"available\":true}".to_vec());
    assert!(lines.availability(&line).unwrap().unwrap().available);
}

#[test]
fn a_quote_within_a_cell_is_text() {
    let csv = "id,title\nx1,5\" disk\nx2,a\nx3,\"a \"\"b\"\"\nc\",d\" \nx4,7\" disk\n";
    let lines = cut(Format::Csv, csv);
    let numbers: Vec<u64> = lines.iter().map(|(line, _)| *line).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 6]);
    let mut reader = Lines::of_items(Format::Csv);
    let mut item = |text: &str| reader.item(&(1, text.as_bytes().to_vec()));
    assert_eq!(item("id,title"), Ok(None));
    assert_eq!(item("x1,5\" disk\r").unwrap().unwrap().title, "5\" disk");
    let error = item("x1,a\rx2,b").unwrap_err().error();
    assert!(error.detail.contains("CR alone"), "{error:?}");
}

#[test]
fn a_cell_that_is_not_closed_and_a_column_that_comes_twice_are_refused() {
    let mut lines = Lines::of_items(Format::Csv);
    let found = lines.push(b"id,title\nq1,whole\nq2,\"open\nq3,x\n").unwrap();
    assert_eq!(lines.item(&found[0]), Ok(None));
    assert!(lines.item(&found[1]).unwrap().is_some());
    let rest = lines.finish().unwrap();
    let error = lines.item(&rest).unwrap_err().error();
    assert_eq!((error.line, error.detail.contains("not closed")), (3, true), "{error:?}");

    let mut lines = Lines::of_items(Format::Csv);
    let error = lines.item(&(1, b"id,title,id".to_vec())).unwrap_err().error();
    assert!(error.detail.contains("`id` twice"), "{error:?}");
}

#[test]
fn a_row_of_csv_is_an_item() {
    let mut lines = Lines::of_items(Format::Csv);
    let mut item = |line: u64, text: &str| lines.item(&(line, text.as_bytes().to_vec()));
    assert_eq!(item(1, "id,title,categories,price,available,colour"), Ok(None));
    let found = item(2, "7,\"Shoe, red\",Shoes | Sale,9.5,no,red").unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.title.as_str()), ("7", "Shoe, red"));
    assert_eq!(found.categories, ["Shoes", "Sale"]);
    assert_eq!((found.price, found.available), (Some(9.5), Some(false)));
    assert_eq!(found.attributes["colour"], AttributeValue::Text("red".to_owned()));
    let error = item(3, "8,Shoe,,cheap,,").unwrap_err().error();
    assert_eq!(
        (error.line, error.detail.as_str()),
        (3, "price: expected a number such as `9.50`, found `cheap`")
    );
    assert!(item(4, "8,Shoe").unwrap_err().error().detail.starts_with("expected 6 cells, found 2"));
    assert!(item(5, ",Shoe,,,,").unwrap_err().error().detail.starts_with("id: "));
}

/// What is read of a whole text, in pieces of every size: items or refusals.
fn read_all(format: Format, bytes: &[u8]) -> Vec<Result<NewItem, Refusal>> {
    let mut results = (1..=bytes.len()).map(|size| {
        let mut lines = Lines::of_items(format);
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            found.extend(lines.push(piece).unwrap());
        }
        found.extend(lines.finish());
        found.iter().filter_map(|line| lines.item(line).transpose()).collect::<Vec<_>>()
    });
    let first = results.next().unwrap();
    assert!(results.all(|other| other == first), "the size of the pieces matters");
    first
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    for (format, text) in [
        (Format::Json, "\u{feff}{\"id\":\"a\",\"title\":\"Shoe\"}\n"),
        (Format::Csv, "\u{feff}id,title\r\na,Shoe\r\n"),
        (Format::Csv, "\u{feff}\"id\",\"title\"\na,Shoe"),
        (Format::Csv, "\u{feff}\n\"title\";\"id\"\nShoe;a\n"),
    ] {
        let found = read_all(format, text.as_bytes());
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let item = found[0].as_ref().unwrap();
        assert_eq!((item.id.as_str(), &*item.title), ("a", "Shoe"), "{text}");
    }
    let mut lines = Lines::of_items(Format::Csv);
    let error = lines.push(b"\xff\xfei\0d\0\n\0").unwrap_err();
    assert!(error.detail.contains("UTF-16"), "{error:?}");
}

#[test]
fn cells_may_be_separated_by_semicolons_and_tabs() {
    let csv = "id;title;price;size\na;\"Shoe; \n\"\"red\"\"\";9.5;5\" x 3,5\nb;Hat;9,50;\n";
    for text in [csv.to_owned(), csv.replace(';', "\t").replace("Shoe\t", "Shoe;")] {
        let found = read_all(Format::Csv, text.as_bytes());
        let item = found[0].as_ref().unwrap();
        assert_eq!((&*item.title, item.price), ("Shoe; \n\"red\"", Some(9.5)), "{text}");
        assert_eq!(item.attributes["size"], AttributeValue::Text("5\" x 3,5".to_owned()));
        // A comma may separate thousands, too.
        let error = found[1].clone().unwrap_err().error();
        let detail = "price: expected a number such as `9.50`, found `9,50`";
        assert_eq!((error.line, &*error.detail), (4, detail));
    }
}

#[test]
fn what_makes_all_lines_useless_is_said_once() {
    for (format, text, detail) in [
        (Format::Csv, "sku,title\na,Shoe\n", "found the columns `sku`, `title`"),
        (Format::Csv, "\n{\"id\":\"a\"}\n", "found JSON"),
        (Format::Json, "[{\"id\":\"a\"},\n{\"id\":\"b\"}]\n", "found a list"),
        (Format::Json, "[\n{\"id\":\"b\"}\n]\n", "found a list"),
    ] {
        let mut lines = Lines::of_items(format);
        let mut found = lines.push(text.as_bytes()).unwrap().into_iter();
        let refusal = found.find_map(|line| lines.item(&line).err()).unwrap();
        let Refusal::Rest(error) = refusal else { panic!("{text}: {refusal:?}") };
        assert!(error.detail.contains(detail), "{text}: {error:?}");
    }
    let mut lines = Lines::of_availabilities(Format::Csv);
    let refusal = lines.availability(&(1, b"id,in_stock".to_vec())).unwrap_err();
    assert!(matches!(refusal, Refusal::Rest(_)), "{refusal:?}");
}

#[test]
fn a_wrong_value_is_refused_with_its_path() {
    let mut lines = Lines::of_items(Format::Json);
    let mut refusal = |json: &str| {
        let Refusal::Line(error) = lines.item(&(1, json.as_bytes().to_vec())).unwrap_err() else {
            panic!("{json} makes the other lines useless");
        };
        error.detail
    };
    for (json, path, parts) in [
        (
            r#"{"id":"a","attributes":{"size":{}}}"#,
            "attributes.size: ",
            ["map", "a text, a number"],
        ),
        (r#"{"id":"a","attributes":{"size":[4]}}"#, "attributes.size[0]: ", ["`4`", "a string"]),
        (r#"{"id":"a","year":"1999"}"#, "year: ", ["\"1999\"", "a whole number"]),
        (r#"{"id":"a","price":"9.5"}"#, "price: ", ["\"9.5\"", "expected a number"]),
        (r#"{"id":"a","categories":["x",1]}"#, "categories[1]: ", ["`1`", "a string"]),
        (r#"{"id":7}"#, "id: ", ["`7`", "a string"]),
        (r#"{"id":"a","available":"yes"}"#, "available: ", ["\"yes\"", "a boolean"]),
        (r#"{"title":"a"}"#, "expected a JSON object", ["missing field", "`id`"]),
        (r#"{"id":"a"} x"#, "expected a JSON object", ["trailing", "documented"]),
    ] {
        let detail = refusal(json);
        let has_parts = parts.iter().all(|part| detail.contains(part));
        assert!(detail.starts_with(path) && has_parts, "{json}: {detail}");
        assert!(!detail.contains("i64") && !detail.contains("f64"), "{detail}");
    }
    let long = refusal(&format!(r#"{{"id":"a","year":"{}"}}"#, "x".repeat(100_000)));
    assert!(long.len() < 400, "{} bytes", long.len());
}

/// Reads damaged variants of `seed`, each in two pieces. What is read of a line must be what a
/// database can hold.
fn fuzz<T>(
    name: &str,
    format: Format,
    seed: &str,
    lines: fn(Format) -> Lines,
    mut read: impl FnMut(&mut Lines, &Line) -> Result<Option<T>, Refusal>,
    check: impl Fn(&T),
) {
    let outcome = tandem_fuzzing::fuzz(name, &[seed], |bytes| {
        let mut lines = lines(format);
        let mut found = Vec::new();
        for piece in bytes.chunks(bytes.len() / 2 + 1) {
            // The mark of another encoding.
            let Ok(cut) = lines.push(piece) else { return false };
            found.extend(cut);
        }
        found.extend(lines.finish());
        let feeds = bytes.split(|byte| *byte == b'\n').count() as u64 - 1;
        let mut read_any = false;
        for line in &found {
            assert!((1..=feeds + 1).contains(&line.0), "line {} of {}", line.0, feeds + 1);
            match read(&mut lines, line) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    check(&value);
                    read_any = true;
                }
                Err(refusal) => assert_eq!(refusal.error().line, line.0),
            }
        }
        read_any
    });
    assert!(outcome.accepted > 0, "no line of {name} is read");
}

#[test]
fn damaged_lines_never_panic() {
    let check_item = |item: &NewItem| {
        assert!(!item.id.as_str().is_empty());
        assert!(item.price.is_none_or(f64::is_finite), "{item:?}");
        // What is stored can be sent again.
        serde_json::to_string(item).unwrap();
    };
    let json = "{\"id\":\"a\",\"title\":\"Shoe\",\"categories\":[\"Shoes\",\"Sale\"],\
        \"brand\":\"Acme\",\"year\":1999,\"price\":9.5,\"available\":false,\
        \"attributes\":{\"size\":42,\"colour\":\"red\",\"new\":true}}\n{\"id\":\"b\"}\n";
    fuzz("items in JSON lines", Format::Json, json, Lines::of_items, Lines::item, check_item);
    let csv = "id,title,categories,brand,year,price,available,colour\n\
        7,\"Shoe, \"\"red\"\"\",Shoes | Sale,Acme,1999,9.5,no,red\n8,\"two\nlines\",,,,,yes,\n";
    fuzz("items in CSV", Format::Csv, csv, Lines::of_items, Lines::item, check_item);
    let check_line = |line: &AvailabilityLine| {
        let _: &str = line.id.as_str();
    };
    let json = "{\"id\":\"a\",\"available\":false}\n{\"id\":\"b\",\"available\":true}\n";
    fuzz(
        "availability in JSON lines",
        Format::Json,
        json,
        Lines::of_availabilities,
        Lines::availability,
        check_line,
    );
    let csv = "id,available\na,no\n\"b\",true\nc,0\n";
    fuzz(
        "availability in CSV",
        Format::Csv,
        csv,
        Lines::of_availabilities,
        Lines::availability,
        check_line,
    );
}

#[test]
fn a_line_that_is_too_long_is_refused_alone() {
    let long = "x".repeat(MAX_LINE);
    let json =
        format!("{{\"id\":\"a\"}}\n{{\"id\":\"b\",\"title\":\"{long}\"}}\n{{\"id\":\"c\"}}\n");
    let csv = format!("id,title\na,\"A\n\"\nb,\"{long}\n{long}\"\nc,C");
    for (format, text, number) in [(Format::Json, json, 2), (Format::Csv, csv, 4)] {
        for size in [1_000, 65_536, text.len()] {
            let mut lines = Lines::of_items(format);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                found.extend(lines.push(piece).unwrap());
                assert!(lines.buffer.len() <= MAX_LINE + 1);
            }
            found.extend(lines.finish());
            let (mut ids, mut refused) = (Vec::new(), Vec::new());
            for line in &found {
                match lines.item(line) {
                    Ok(item) => ids.extend(item.map(|item| item.id.to_string())),
                    Err(refusal) => refused.push(refusal),
                }
            }
            let detail = format!("expected at most {MAX_LINE} bytes");
            assert_eq!(ids, ["a", "c"], "{format:?}, {size} bytes at a time");
            assert_eq!(refused, [Refusal::Line(LineError { line: number, detail })]);
        }
    }
    let mut lines = Lines::of_items(Format::Csv);
    let header = lines.push(format!("id,{long}\na,A\n").as_bytes()).unwrap();
    assert!(matches!(lines.item(&header[0]), Err(Refusal::Rest(_))));
}
