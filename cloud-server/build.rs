//! Takes the files of Swagger UI, which shows the description of the API, out of the archive in
//! the crate `utoipa-swagger-ui-vendored`. Nothing is downloaded.
//!
//! A file in a ZIP archive and a gzip file have the same compressed bytes between different
//! headers, so the files stay compressed. A crate that reads archives would do much more, and would
//! switch on features of crates with which llama.cpp is built.

use std::{env, error::Error, fs, path::Path};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED as ARCHIVE;

/// The version in the archive. Update `src/api_docs/licenses` with it: `BUNDLED.txt` is
/// `swagger-ui-bundle.js.LICENSE.txt` of the npm package `swagger-ui-dist`.
const VERSION: &str = "5.32.6";
/// Files of the page, in the folder `dist` of the archive.
const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];
/// Start of an entry of the directory, and its length without name, extra field and comment.
const ENTRY: (&[u8], usize) = (b"PK\x01\x02", 46);
/// Start of the header before a file, and its length without name and extra field.
const HEADER: (&[u8], usize) = (b"PK\x03\x04", 30);
/// Start of the end of the archive, and its length without a comment.
const END: (&[u8], usize) = (b"PK\x05\x06", 22);
/// The compression of gzip.
const DEFLATE: usize = 8;
/// Header of a gzip file without name and time.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    for file in FILES {
        let path = format!("swagger-ui-{VERSION}/dist/{file}");
        let gzip = find(&path).ok_or_else(|| {
            format!("cannot read {path} in the archive of Swagger UI; see VERSION in build.rs")
        })?;
        fs::write(Path::new(&out).join(format!("{file}.gz")), gzip)?;
    }
    Ok(())
}

/// The file at `path`, as a gzip file. `None` if the archive has none, or has
/// it in a form that is not expected here.
fn find(path: &str) -> Option<Vec<u8>> {
    let end = (0..=ARCHIVE.len() - END.1).rev().find(|at| ARCHIVE[*at..].starts_with(END.0))?;
    let mut at = number(end + 16, 4)?;
    loop {
        if !ARCHIVE.get(at..)?.starts_with(ENTRY.0) {
            return None;
        }
        let name_length = number(at + 28, 2)?;
        let name = ARCHIVE.get(at + ENTRY.1..at + ENTRY.1 + name_length)?;
        if name == path.as_bytes() {
            break;
        }
        at += ENTRY.1 + name_length + number(at + 30, 2)? + number(at + 32, 2)?;
    }
    let (compressed, header) = (number(at + 20, 4)?, number(at + 42, 4)?);
    if number(at + 10, 2)? != DEFLATE || !ARCHIVE.get(header..)?.starts_with(HEADER.0) {
        return None;
    }
    let start = header + HEADER.1 + number(header + 26, 2)? + number(header + 28, 2)?;
    let bytes = ARCHIVE.get(start..start + compressed)?;
    let (checksum, size) = (&ARCHIVE[at + 16..at + 20], &ARCHIVE[at + 24..at + 28]);
    Some([&GZIP[..], bytes, checksum, size].concat())
}

/// A little-endian number of `length` bytes.
fn number(at: usize, length: usize) -> Option<usize> {
    let bytes = ARCHIVE.get(at..at + length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
