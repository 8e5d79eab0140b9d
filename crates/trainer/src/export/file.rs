use std::borrow::Cow;

use tandem_dataset::files::sha256_hex;
use tandem_model::cells::CellEntry;
use tandem_protocol::Artifact;

/// Digits of a hash in a file name.
pub(super) const NAME_DIGITS: usize = 16;

/// A file of a release.
pub(super) struct File<'a> {
    pub(super) artifact: Artifact,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl<'a> File<'a> {
    pub(super) fn new(stem: &str, extension: &str, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let bytes = bytes.into();
        let sha256 = sha256_hex(&bytes);
        let path = format!("{stem}-{}.{extension}", &sha256[..NAME_DIGITS]);
        Self { artifact: Artifact { path, sha256, bytes: bytes.len() as u64 }, bytes }
    }

    /// The file of a cell, as the index describes it.
    pub(super) fn cell(entry: &CellEntry, bytes: Vec<u8>) -> Self {
        let artifact =
            Artifact { path: entry.path(), sha256: entry.sha256_hex(), bytes: entry.bytes.into() };
        Self { artifact, bytes: bytes.into() }
    }
}
