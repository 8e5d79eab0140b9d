use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

use super::stored::{Blocks, StoredFile, WHOLE};
use crate::DatasetError;

/// Bytes that encoding and format are detected from.
const HEAD: usize = 1 << 18;
/// Size of the read buffer in bytes.
const BUFFER: usize = 1 << 16;

/// First bytes of files that cannot be read, and what to do.
const UNSUPPORTED: [(&[u8], &str); 10] = [
    (b"PK\x03\x04", "is a zip archive or an Excel file; unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel file; save the sheet as CSV"),
    (b"BZh", "is compressed with bzip2; unpack it, or compress it with gzip or zstd"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it, or compress it with gzip or zstd"),
    (b"SQLite format 3", "is a SQLite database; export the table as CSV"),
    (b"\x89PNG", "is not a table: starts with the mark of a PNG image"),
    (b"\xff\xd8\xff", "is not a table: starts with the mark of a JPEG image"),
    (b"GIF8", "is not a table: starts with the mark of a GIF image"),
    (b"%PDF", "is not a table: starts with the mark of a PDF document"),
    (b"ORC", "is an ORC file; convert it to Parquet or CSV"),
];

/// The content of a file or of the standard input: decompressed, and as UTF-8 unless it is binary.
pub(crate) struct Source {
    path: PathBuf,
    head: Vec<u8>,
    rest: Box<dyn Read>,
    compression: Option<&'static str>,
    encoding: Option<&'static str>,
    stored: Option<Arc<dyn StoredFile>>,
}

impl Source {
    /// Opens a file, or the standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let failed = |error| DatasetError::io("read", path)(error);
        let raw: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(DatasetError::io("open", path))?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(DatasetError::input(
                    path,
                    "is a folder; give its files, for example as FOLDER/*.csv (a folder of \
                     sequences must contain sequences.txt)",
                ));
            }
            Box::new(file)
        };
        Self::of(path, raw, None)
    }

    /// Opens a file of another store; `path` is its name for people.
    pub(crate) fn open_stored(
        path: &Path,
        file: Arc<dyn StoredFile>,
    ) -> Result<Self, DatasetError> {
        Self::of(path, Box::new(Blocks::new(Arc::clone(&file), 0, WHOLE)), Some(file))
    }

    fn of(
        path: &Path,
        mut raw: Box<dyn Read>,
        stored: Option<Arc<dyn StoredFile>>,
    ) -> Result<Self, DatasetError> {
        let failed = |error| DatasetError::io("read", path)(error);
        let start = read_head(&mut raw, 16).map_err(failed)?;
        if let Some((_, advice)) = UNSUPPORTED.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(DatasetError::input(path, *advice));
        }
        let (gzip, zstd) = (start.starts_with(b"\x1f\x8b"), start.starts_with(b"\x28\xb5\x2f\xfd"));
        let raw = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(raw));
        let (mut content, compression): (Box<dyn Read>, _) = if gzip {
            (Box::new(flate2::bufread::MultiGzDecoder::new(raw)), Some("gzip"))
        } else if zstd {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(failed)?;
            (Box::new(decoder), Some("zstd"))
        } else {
            (Box::new(raw), None)
        };
        let head = read_head(&mut content, HEAD).map_err(failed)?;
        let path = path.to_path_buf();
        if head.starts_with(b"PAR1") {
            return Ok(Self { path, head, rest: content, compression, encoding: None, stored });
        }
        let (label, name) = encoding(&head);
        let mut decoded = DecodeReaderBytesBuilder::new()
            .encoding(label)
            .utf8_passthru(true)
            .strip_bom(true)
            .build(Cursor::new(head).chain(content));
        let head = read_head(&mut decoded, HEAD).map_err(DatasetError::io("read", &path))?;
        Ok(Self { path, head, rest: Box::new(decoded), compression, encoding: name, stored })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first bytes, at most some hundred thousand.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Compression and encoding, in words.
    pub(crate) fn traits(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.compression.into_iter().chain(self.encoding)
    }

    /// The file itself, if it can be read at any place.
    pub(crate) fn seekable(&self) -> bool {
        self.compression.is_none() && self.path != Path::new("-")
    }

    /// Whether it is a Parquet file that is compressed as a whole.
    pub(crate) fn is_packed_parquet(&self) -> bool {
        self.compression.is_some() && self.head.starts_with(b"PAR1")
    }

    /// The file, if it is of another store.
    pub(crate) fn stored(&self) -> Option<&Arc<dyn StoredFile>> {
        self.stored.as_ref()
    }

    /// The whole content from its beginning.
    pub(crate) fn reader(self) -> Box<dyn BufRead> {
        Box::new(BufReader::with_capacity(BUFFER, Cursor::new(self.head).chain(self.rest)))
    }
}

/// Reads at most `limit` bytes; fewer only at the end.
fn read_head(source: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(limit as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The character encoding of a text by its first bytes; `None` for UTF-8. UTF-16 is known by its
/// byte order mark, or by the zero bytes of its ASCII characters. Bytes that are not UTF-8 are
/// Windows-1252, which contains Latin-1, unless most of the special characters are valid UTF-8.
fn encoding(head: &[u8]) -> (Option<&'static Encoding>, Option<&'static str>) {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return (None, Some("UTF-16"));
    }
    let (even, odd): (Vec<u8>, Vec<u8>) =
        head.chunks_exact(2).map(|pair| (pair[0], pair[1])).take(1_000).unzip();
    let zeros = |bytes: &[u8]| {
        bytes.iter().map(|byte| usize::from(*byte == 0)).sum::<usize>() * 2 > bytes.len()
    };
    match (zeros(&even), zeros(&odd)) {
        (false, true) => return (Some(UTF_16LE), Some("UTF-16")),
        (true, false) => return (Some(UTF_16BE), Some("UTF-16")),
        _ => {}
    }
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for chunk in head.utf8_chunks() {
        valid += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!chunk.invalid().is_empty());
    }
    // The last character may be cut by the end of the head.
    if invalid > 1 + valid || (invalid == 1 && valid == 0 && head.len() < HEAD) {
        (Some(WINDOWS_1252), Some("Windows-1252"))
    } else {
        (None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_detected() {
        let name = |bytes: &[u8]| encoding(bytes).1;
        assert_eq!(name(b"user,item\n"), None);
        assert_eq!(name("user,item\n1,caf\u{e9}\n".as_bytes()), None);
        assert_eq!(name(b"\xff\xfeu\0s\0"), Some("UTF-16"));
        assert_eq!(name(b"u\0s\0e\0r\0"), Some("UTF-16"));
        assert_eq!(name(b"\0u\0s\0e\0r"), Some("UTF-16"));
        assert_eq!(name(b"1,caf\xe9\n"), Some("Windows-1252"));
        // One damaged byte in UTF-8 text.
        assert_eq!(name(b"caf\xc3\xa9, caf\xc3\xa9, \xff\n"), None);
        assert_eq!(name(b""), None);
    }
}
