//! Damaged files of other programs never panic.

use std::fs;

use tandem_dataset::{ImportOptions, import};

use crate::Files;

/// Imports damaged variants of `seeds` as a log, or as a catalogue of a fixed log.
fn fuzz(name: &str, as_catalogue: bool, seeds: &[&[u8]]) {
    let log = b"user_id,item_id,timestamp\na,1,1700000000\na,2,1700000100\nb,1,1700000200\n";
    let files = Files::new(&[("log.csv", log)]);
    let damaged = files.path("damaged");
    let outcome = tandem_fuzzing::fuzz(name, seeds, |bytes| {
        fs::write(&damaged, bytes).unwrap();
        let events = if as_catalogue { files.path("log.csv") } else { damaged.clone() };
        let mut options = ImportOptions::new("test", [events]);
        if as_catalogue {
            options.catalogue = vec![damaged.clone()];
        }
        import(&options).is_ok()
    });
    assert!(outcome.accepted > 0, "no seed of {name} is imported");
}

#[test]
fn damaged_csv_logs_never_panic() {
    let csv = b"user_id,item_id,timestamp,rating\na,1,1700000000,5\na,2,1700000100,3.5\nb,1,2024-01-31 10:00:00,\n";
    fuzz("import of CSV", false, &[csv, b"a;1;2\nb;2;3\na;2;4\n"]);
}

#[test]
fn damaged_json_lines_never_panic() {
    let json = br#"{"user":"a","item":"1","time":1700000000,"type":"click"}
{"user":"a","item":2,"time":1700000100.5,"type":"purchase"}
{"user":"b","item":"1","time":"2024-01-31T10:00:00Z"}
"#;
    fuzz("import of JSON lines", false, &[json]);
}

#[test]
fn damaged_json_arrays_and_recbole_files_never_panic() {
    let array = br#"[{"user_id":"a","item_id":"1"},{"user_id":"a","item_id":"2"}]"#;
    fuzz("import of a JSON array", false, &[array]);
    let recbole = b"user_id:token\titem_id:token\ttimestamp:float\na\t1\t1.5\na\t2\t2.5\n";
    fuzz("import of RecBole files", false, &[recbole]);
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_parquet_files_never_panic() {
    use parquet::basic::Compression;

    let rows = [("a", "1", 1_700_000_000_000), ("a", "2", 1_700_000_100_000), ("b", "1", 5)];
    let rows: Vec<_> =
        rows.into_iter().map(|(user, item, at)| (user.to_owned(), item.to_owned(), at)).collect();
    // A change of compressed bytes is mostly found by the decompression; plain bytes reach further.
    let seeds = [Compression::UNCOMPRESSED, Compression::SNAPPY]
        .map(|compression| crate::same_log::parquet(&rows, compression));
    let seeds: Vec<&[u8]> = seeds.iter().map(Vec::as_slice).collect();
    fuzz("import of Parquet", false, &seeds);
}

#[test]
fn damaged_catalogues_never_panic() {
    let csv = b"item_id,title,year,genres\n1,\"A, the first\",1999,Drama|Comedy\n2,B,,\n";
    fuzz("catalogue of CSV", true, &[csv]);
    let json = br#"{"item":"1","title":"A","year":1999,"genres":["Drama"]}
{"item":"2","title":null,"year":"2001","genres":"Comedy"}
"#;
    fuzz("catalogue of JSON lines", true, &[json]);
}
