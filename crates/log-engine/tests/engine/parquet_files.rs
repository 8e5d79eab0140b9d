//! Parquet files with several row groups.

use std::sync::Arc;

use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

/// User, item, rating, time in milliseconds.
pub(crate) type Row = (String, String, f64, i64);

/// Rows of a few users and items.
pub(crate) fn rows(count: u32) -> Vec<Row> {
    let row = |at: u32| {
        let (user, item) = (format!("u{}", at * 7 % 61), format!("i{}", at * at % 101));
        (user, item, f64::from(at % 4), 1_700_000_000_000 + i64::from(at * 17 % 500) * 1_000)
    };
    (0..count).map(row).collect()
}

/// A file with `group` rows in each row group.
pub(crate) fn write(rows: &[Row], group: usize) -> Vec<u8> {
    let schema = "message log { REQUIRED BYTE_ARRAY user_id (UTF8); REQUIRED BYTE_ARRAY item_id (UTF8); \
                  REQUIRED DOUBLE rating; REQUIRED INT64 ts (TIMESTAMP_MILLIS); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for rows in rows.chunks(group) {
        let mut group = file.next_row_group().unwrap();
        let text = |text: &String| ByteArray::from(text.as_str());
        for of in [|row: &Row| row.0.clone(), |row: &Row| row.1.clone()] {
            let values: Vec<ByteArray> = rows.iter().map(of).map(|it| text(&it)).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        let ratings: Vec<f64> = rows.iter().map(|row| row.2).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&ratings, None, None).unwrap();
        column.close().unwrap();
        let times: Vec<i64> = rows.iter().map(|row| row.3).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}
