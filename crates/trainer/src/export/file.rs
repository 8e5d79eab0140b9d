use std::borrow::Cow;

use tandem_dataset::files::sha256_hex;
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

    /// A cell, which the index names by its hash.
    pub(super) fn cell(bytes: Vec<u8>) -> Self {
        let sha256 = sha256_hex(&bytes);
        let path = format!("cells/{sha256}");
        let artifact = Artifact { path, sha256, bytes: bytes.len() as u64 };
        Self { artifact, bytes: bytes.into() }
    }
}
