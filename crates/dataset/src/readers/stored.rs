use std::{
    io::{self, Read},
    sync::Arc,
};

/// Bytes that are read at once where a whole file is read.
pub(super) const WHOLE: usize = 4 << 20;
/// Bytes that are read at once where a few are expected, such as the header of a page.
#[cfg(feature = "parquet")]
pub(super) const HEADER: usize = 8 << 10;

/// A file that is not on the disk of this machine, such as an object of an object store.
pub trait StoredFile: Send + Sync {
    /// Size of the file in bytes.
    fn size(&self) -> u64;

    /// Reads `length` bytes from `offset` on; fewer only at the end of the file.
    ///
    /// # Errors
    /// If the store does not answer or refuses.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
}

/// The content of a stored file, block by block.
pub(super) struct Blocks {
    file: Arc<dyn StoredFile>,
    next: u64,
    block: io::Cursor<Vec<u8>>,
    length: usize,
}

impl Blocks {
    /// The content from `offset` on, of which `length` bytes are read at once.
    pub(super) fn new(file: Arc<dyn StoredFile>, offset: u64, length: usize) -> Self {
        Self { file, next: offset, block: io::Cursor::default(), length }
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            let left = self.file.size().saturating_sub(self.next);
            if read > 0 || left == 0 || buffer.is_empty() {
                return Ok(read);
            }
            let block = self.file.read_at(self.next, left.min(self.length as u64) as usize)?;
            if block.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.next += block.len() as u64;
            self.block = io::Cursor::new(block);
        }
    }
}
