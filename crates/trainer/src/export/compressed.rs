//! Compressed copies of files: `FILE.br` beside `FILE`, made once instead of at each request.

use std::io::{self, Cursor};

use brotli::{BrotliCompress, enc::BrotliEncoderParams};

use super::file::File;

/// Files above this size get a lower quality: the best one compresses less than 1 MB per second.
const LARGE: usize = 2_000_000;
/// Smaller files fit into one packet anyway.
const SMALL: usize = 1_400;
/// A copy must be smaller than this share of the file, or it is not worth decompressing.
const WORTH: f64 = 0.95;
/// Largest window of the format that all browsers read (16 MB).
const WINDOW: i32 = 24;

/// The name and the content of the Brotli copy of a file; `None` if it would save too little.
pub(super) fn compressed(file: &File<'_>) -> io::Result<Option<(String, Vec<u8>)>> {
    if file.bytes.len() < SMALL {
        return Ok(None);
    }
    let params = BrotliEncoderParams {
        quality: if file.bytes.len() > LARGE { 9 } else { 11 },
        lgwin: WINDOW,
        size_hint: file.bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut copy = Vec::new();
    BrotliCompress(&mut Cursor::new(&*file.bytes), &mut copy, &params)?;
    let is_worth_it = (copy.len() as f64) < file.bytes.len() as f64 * WORTH;
    Ok(is_worth_it.then(|| (format!("{}.br", file.artifact.path), copy)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_copy_has_the_content_of_its_file() {
        let text = r#"{"item":"1","title":"Toy Story"}"#.repeat(50);
        let file = File::new("items", "json", text.as_bytes());
        let (name, copy) = compressed(&file).unwrap().unwrap();
        assert_eq!(name, format!("{}.br", file.artifact.path));
        assert!(copy.len() * 10 < text.len());
        let mut read = String::new();
        brotli::Decompressor::new(&*copy, 4096).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }

    #[test]
    fn a_file_that_shrinks_too_little_has_no_copy() {
        // Hashes are as good as noise.
        let noise: Vec<u8> = (0..200_u8)
            .flat_map(|n| tandem_dataset::files::sha256_hex([n]).into_bytes())
            .collect::<Vec<u8>>()
            .chunks(2)
            .map(|digits| {
                let digit = |at: usize| char::from(digits[at]).to_digit(16).unwrap() as u8;
                digit(0) << 4 | digit(1)
            })
            .collect();
        for bytes in [Vec::new(), vec![b'a'; SMALL - 1], noise] {
            assert_eq!(compressed(&File::new("rows", "bin", bytes)).unwrap(), None);
        }
    }
}
