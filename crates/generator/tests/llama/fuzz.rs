//! Damaged headers of GGUF files never panic.

use std::{fs, path::Path};

use tandem_generator::{
    gguf::{Encoding, Metadata, Writer},
    llama::check_metadata,
};

use crate::support::tiny_file;

/// Bytes of the tiny model that are damaged: its metadata and the descriptions of its tensors.
const HEADER: usize = 16 << 10;

#[test]
fn damaged_headers_never_panic() {
    let tiny = tiny_file(1);
    let mut seeds = vec![fs::read(&tiny.path).unwrap()[..HEADER].to_vec()];
    let mut writer = Writer::new("llama");
    writer.set("a.bool", true).set("a.texts", vec!["x", ""]).set("a.number", u64::MAX);
    writer.tensor("first", &[3], Encoding::F32, &[1.0, 2.0, 3.0]).unwrap();
    writer.tensor("second", &[32, 2], Encoding::Q8_0, &[0.5; 64]).unwrap();
    writer.write(&tiny.path).unwrap();
    seeds.push(fs::read(&tiny.path).unwrap());
    let path = Path::new("damaged.gguf");
    tandem_fuzzing::fuzz("GGUF metadata", &seeds, |bytes| {
        // The file is longer than what is read of it.
        let read = Metadata::decode(path, bytes, bytes.len() as u64 + (1 << 20));
        if let Ok(metadata) = &read {
            // Whatever they say, they return.
            let _ = check_metadata(path, metadata);
        }
        read.is_ok()
    });
}
