//! Files in object stores.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use tandem_dataset::{StoredFile, external::FileStorage};
use tandem_release_store::{StoreUrl, StoredObject};

use crate::LogEngineError;

/// Bytes that are requested at once.
const BLOCK: u64 = 4 << 20;
/// Blocks of one file that stay in memory. Columns of a Parquet file are read side by side.
const BLOCKS: usize = 8;

/// Files by their path, or by the URL of an object.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ObjectFiles;

impl FileStorage for ObjectFiles {
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn StoredFile>>> {
        let Some(url) = path.to_str().filter(|text| StoreUrl::is_url(text)) else {
            return Ok(None);
        };
        let url: StoreUrl = url.parse().map_err(io::Error::other)?;
        let object = StoredObject::open(url).map_err(io::Error::other)?;
        Ok(Some(Arc::new(ObjectFile { object, blocks: Mutex::default() })))
    }
}

/// Checks an address before anything is read.
pub(crate) fn check(path: &Path) -> Result<(), LogEngineError> {
    match path.to_str().filter(|text| StoreUrl::is_url(text)) {
        None => Ok(()),
        Some(text) => text.parse::<StoreUrl>().map(drop).map_err(|source| {
            // An address with a user may have a password.
            let url = if text.contains('@') { "the address of a file" } else { text };
            LogEngineError::Url { url: url.to_owned(), source }
        }),
    }
}

/// An object with the blocks that were read last.
struct ObjectFile {
    object: StoredObject,
    blocks: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl ObjectFile {
    /// The block with a number, from the memory or the store.
    fn block(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        let poisoned = |_| io::Error::other("another reader of the object has panicked");
        let mut blocks = self.blocks.lock().map_err(poisoned)?;
        if let Some((_, block)) = blocks.iter().find(|(known, _)| *known == number) {
            return Ok(Arc::clone(block));
        }
        let start = number * BLOCK;
        let end = (start + BLOCK).min(self.object.size());
        let block = Arc::new(self.object.read(start..end).map_err(io::Error::other)?);
        blocks.truncate(BLOCKS - 1);
        blocks.push_front((number, Arc::clone(&block)));
        Ok(block)
    }
}

impl StoredFile for ObjectFile {
    fn size(&self) -> u64 {
        self.object.size()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset.saturating_add(length as u64).min(self.size());
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        let mut next = offset;
        while next < end {
            let block = self.block(next / BLOCK)?;
            let from = (next % BLOCK) as usize;
            let to = block.len().min(from + (end - next) as usize);
            let Some(piece) = block.get(from..to).filter(|piece| !piece.is_empty()) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            bytes.extend_from_slice(piece);
            next += piece.len() as u64;
        }
        Ok(bytes)
    }
}
