//! The same log in every format is the same dataset.

use std::{fmt::Write as _, io::Write as _};

use proptest::prelude::*;
use serde_json::json;
use tandem_dataset::Dataset;

use crate::try_import;

/// One interaction; the time in milliseconds.
type Row = (String, String, i64);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let id = || "[a-z0-9 ,;\"|äö€'-]{0,5}[a-z0-9äö]";
    let time = 1_600_000_000_000_i64..1_700_000_000_000;
    prop::collection::vec((id(), id(), time), 1..40)
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

fn delimited(rows: &[Row], delimiter: &str, time: impl Fn(i64) -> String) -> Vec<u8> {
    let mut text = ["user_id", "item_id", "timestamp\n"].join(delimiter);
    for (user, item, at) in rows {
        writeln!(text, "{}", [quoted(user), quoted(item), time(*at)].join(delimiter)).unwrap();
    }
    text.into_bytes()
}

fn objects(rows: &[Row]) -> Vec<serde_json::Value> {
    rows.iter().map(|(user, item, at)| json!({"userId": user, "itemId": item, "ts": at})).collect()
}

fn iso(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap().to_string()
}

#[cfg(feature = "parquet")]
pub(crate) fn parquet(rows: &[Row], compression: parquet::basic::Compression) -> Vec<u8> {
    use std::sync::Arc;

    use parquet::{
        data_type::{ByteArray, ByteArrayType, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    let schema = "message log { REQUIRED BYTE_ARRAY user_id (UTF8); OPTIONAL BYTE_ARRAY item_id (UTF8); \
                  REQUIRED INT64 ts (TIMESTAMP_MILLIS); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let mut group = file.next_row_group().unwrap();
    let text = |text: &String| ByteArray::from(text.as_str());
    let mut column = group.next_column().unwrap().unwrap();
    let users: Vec<ByteArray> = rows.iter().map(|(user, _, _)| text(user)).collect();
    column.typed::<ByteArrayType>().write_batch(&users, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let items: Vec<ByteArray> = rows.iter().map(|(_, item, _)| text(item)).collect();
    let present = vec![1; items.len()];
    column.typed::<ByteArrayType>().write_batch(&items, Some(&present), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let times: Vec<i64> = rows.iter().map(|(_, _, at)| *at).collect();
    column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

fn dataset(bytes: &[u8]) -> Dataset {
    try_import(bytes, |options| options.max_bad_rows = 0.0).unwrap().dataset
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_format_gives_the_same_dataset(rows in rows()) {
        let csv = delimited(&rows, ",", |at| at.to_string());
        let expected = dataset(&csv);
        let objects = objects(&rows);
        let mut lines = String::new();
        for object in &objects {
            writeln!(lines, "{object}").unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&csv).unwrap();
        let text = String::from_utf8(csv.clone()).unwrap();
        let files = [
            ("TSV", delimited(&rows, "\t", |at| at.to_string())),
            ("semicolons", delimited(&rows, ";", iso)),
            ("microseconds", delimited(&rows, "|", |at| (at * 1_000).to_string())),
            ("JSON lines", lines.into_bytes()),
            ("JSON array", serde_json::to_vec(&objects).unwrap()),
            ("JSON in many lines", serde_json::to_vec_pretty(&objects).unwrap()),
            ("gzip", gzip.finish().unwrap()),
            ("zstd", zstd::encode_all(&csv[..], 1).unwrap()),
            ("UTF-16", format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect()),
            ("CRLF", text.replace('\n', "\r\n").into_bytes()),
            #[cfg(feature = "parquet")]
            ("Parquet", parquet(&rows, parquet::basic::Compression::SNAPPY)),
        ];
        for (format, bytes) in files {
            let found = dataset(&bytes);
            prop_assert_eq!(found.catalogue.items(), expected.catalogue.items(), "{}", format);
            prop_assert_eq!(&found.sequences, &expected.sequences, "{}", format);
            prop_assert_eq!(found.repeats, expected.repeats, "{}", format);
        }
    }

    #[test]
    fn the_order_of_rows_with_times_does_not_matter(rows in rows()) {
        let forwards = dataset(&delimited(&rows, ",", |at| at.to_string()));
        let reversed: Vec<Row> = rows.into_iter().rev().collect();
        let backwards = dataset(&delimited(&reversed, ",", |at| at.to_string()));
        prop_assert_eq!(forwards.sequences, backwards.sequences);
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<bool>()) {
        let mut file = if header { b"user,item,time\n".to_vec() } else { Vec::new() };
        file.extend(bytes);
        // Must not panic.
        let _ = try_import(file, |options| options.max_bad_rows = 1.0);
    }

    #[test]
    fn arbitrary_json_is_read_or_refused(text in "[\\[{]{0,2}(\"user\":1,\"item\":[0-9a\"]{1,3})?[\\[\\]{},:\"\\\\a1 \n]{0,40}") {
        let _ = try_import(text, |options| options.max_bad_rows = 1.0);
    }
}
