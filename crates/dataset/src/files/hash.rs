use std::{fmt::Write as _, fs::File, io, io::Read, path::Path};

use sha2::{Digest, Sha256};

/// Bytes of a file that are read at once.
const BUFFER: usize = 1 << 20;

/// An incremental SHA-256, as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub struct Sha256Hex(Sha256);

impl Sha256Hex {
    /// Appends bytes to the message.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The hash of everything that was appended.
    #[must_use]
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// SHA-256 of bytes in memory.
#[must_use]
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    let mut hash = Sha256Hex::default();
    hash.update(bytes);
    hash.finish()
}

/// SHA-256 of a file, which is read piece by piece.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256_hex_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256Hex::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.finish());
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `printf abc | sha256sum` (FIPS 180-2, appendix B.1).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn bytes_pieces_and_files_have_the_published_hash() {
        assert_eq!(sha256_hex(b"abc"), ABC);
        let mut pieces = Sha256Hex::default();
        pieces.update("a");
        pieces.update(b"bc");
        assert_eq!(pieces.finish(), ABC);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_hex_of_file(&path).unwrap(), ABC);
        // More than one buffer.
        let long = vec![7; BUFFER + 3];
        fs::write(&path, &long).unwrap();
        assert_eq!(sha256_hex_of_file(&path).unwrap(), sha256_hex(&long));
        assert!(sha256_hex_of_file(&folder.path().join("none")).is_err());
    }
}
