//! Writes a log of any size as Parquet or CSV, for measurements of time and memory:
//! `cargo run --release -p tandem-log-engine --example large_log -- log.parquet 100000000 5000000 1000000`
//! with the numbers of interactions, users and items.
//!
//! Times grow by half a second on average, so the rows of a user are far apart. Users are equally
//! likely. The probability of an item falls as one through its rank (Zipf).

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::{Compression, Encoding},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Rows of a row group.
const GROUP: u64 = 1 << 20;
const SCHEMA: &str = "message log { REQUIRED BYTE_ARRAY user_id (UTF8); \
                      REQUIRED BYTE_ARRAY item_id (UTF8); REQUIRED INT64 timestamp; }";

/// User, item, time in seconds.
type Row = (u32, u32, i64);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let expected = || io::Error::other("expected FILE INTERACTIONS USERS ITEMS");
    let [path, interactions, users, items] = arguments.as_slice() else {
        return Err(expected());
    };
    let number = |text: &String| text.parse::<u64>().map_err(|_| expected());
    let rows = rows(number(interactions)?, number(users)? as u32, number(items)? as u32);
    if Path::new(path).extension().is_some_and(|extension| extension == "parquet") {
        write_parquet(path, rows).map_err(io::Error::other)
    } else {
        write_csv(path, rows)
    }
}

fn rows(interactions: u64, users: u32, items: u32) -> impl Iterator<Item = Row> {
    let mut rng = StdRng::seed_from_u64(1);
    let log_items = f64::from(items + 1).ln();
    (0..interactions).map(move |number| {
        // The logarithm of the rank is uniform.
        let rank = (rng.random_range(0.0..1.0) * log_items).exp() as u32;
        let item = rank.clamp(1, items) - 1;
        (rng.random_range(0..users), item, 1_600_000_000 + (number / 2) as i64)
    })
}

fn write_csv(path: &str, rows: impl Iterator<Item = Row>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    writeln!(out, "user_id,item_id,timestamp")?;
    for (user, item, time) in rows {
        writeln!(out, "u{user},i{item},{time}")?;
    }
    out.flush()
}

fn write_parquet(
    path: &str,
    mut rows: impl Iterator<Item = Row>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_column_encoding("timestamp".into(), Encoding::DELTA_BINARY_PACKED)
        .set_column_dictionary_enabled("timestamp".into(), false);
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file =
        SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties.build()))?;
    loop {
        let rows: Vec<Row> = rows.by_ref().take(GROUP as usize).collect();
        if rows.is_empty() {
            file.close()?;
            return Ok(());
        }
        let text = |text: String| ByteArray::from(text.into_bytes());
        let users: Vec<ByteArray> = rows.iter().map(|row| text(format!("u{}", row.0))).collect();
        let items: Vec<ByteArray> = rows.iter().map(|row| text(format!("i{}", row.1))).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.2).collect();
        let mut group = file.next_row_group()?;
        for values in [users, items] {
            let mut column = group.next_column()?.ok_or("a column")?;
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        let mut column = group.next_column()?.ok_or("a column")?;
        column.typed::<Int64Type>().write_batch(&times, None, None)?;
        column.close()?;
        group.close()?;
    }
}
