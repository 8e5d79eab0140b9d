use std::{io, path::PathBuf};

use tandem_protocol::PROTOCOL_VERSION;

use super::names::RELEASE_DIGITS;

/// Why an artefact folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file is missing or cannot be read.
    #[error("cannot read the artefact {}: {source}; `tandem quickstart` and `tandem export` write one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file `current` does not contain the name of a release.
    #[error("{} does not name a release: expected {RELEASE_DIGITS} hexadecimal digits; `tandem quickstart` and `tandem export` write one", path.display())]
    Current {
        /// The file `current`.
        path: PathBuf,
    },
    /// The content of a file is not what was exported.
    #[error("the artefact {} is damaged: expected SHA-256 {expected}, found {found}; export it again with `tandem export`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The expected hash, or its first digits.
        expected: String,
        /// The hash of the content.
        found: String,
    },
    /// The manifest is not JSON of the expected shape.
    #[error("{} is not a manifest: {source}; export it again with `tandem export`", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        source: serde_json::Error,
    },
    /// The manifest names a file outside its folder.
    #[error("{} names the file `{name}`: expected a plain file name; export it again with `tandem export`", folder.display())]
    Name {
        /// The folder of the release.
        folder: PathBuf,
        /// The name in the manifest.
        name: String,
    },
    /// The manifest was written by a newer program.
    #[error("{} has version {found}, but this server reads versions up to {PROTOCOL_VERSION}; update the server", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The model was trained on another catalogue than that of the dataset.
    #[error("{} belongs to another catalogue than the dataset: expected hash {expected}, found {found}; train and export on this dataset", path.display())]
    OtherCatalogue {
        /// The manifest.
        path: PathBuf,
        /// The hash of the dataset's catalogue.
        expected: String,
        /// The hash in the manifest.
        found: String,
    },
    /// The counts are not those of the catalogue.
    #[error("the counts {} cannot be used: {reason}; export them again with `tandem export`", path.display())]
    Counts {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// The rows file does not have one row per item.
    #[error("the item rows {} do not match the catalogue: expected {items} rows of {dims} dimensions, found {bytes} bytes; export them again with `tandem export`", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Number of items in the catalogue.
        items: usize,
        /// Dimensions of the model.
        dims: usize,
        /// Size of the file in bytes.
        bytes: usize,
    },
}
