use thiserror::Error;

/// Errors of weights, rows, cells and inputs of a model.
#[derive(Debug, Error, PartialEq)]
pub enum ModelError {
    /// A setting of the model is out of range.
    #[error("model configuration: {0}")]
    Config(String),
    /// The bytes are not a file of the expected format, or are damaged.
    #[error("{0}")]
    Format(String),
    /// A tensor is missing from the weight file.
    #[error(
        "weight file: expected tensor `{name}`, which is missing; use the weights of this model"
    )]
    MissingTensor {
        /// Path in the model.
        name: String,
    },
    /// A tensor of the weight file has another shape.
    #[error(
        "weight file: tensor `{name}` has shape {found:?}, expected {expected:?}; use the weights of this model"
    )]
    TensorShape {
        /// Path in the model.
        name: String,
        /// Shape in the model.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A value is `NaN` or infinite.
    #[error("{what} contains a value that is not finite")]
    NotFinite {
        /// The weight, row or input with the value.
        what: String,
    },
    /// A slice or file has another length than expected.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// What is counted.
        what: &'static str,
        /// Expected length.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// An input is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A personal delta belongs to other shared weights.
    #[error("personal delta belongs to the weights {found}, expected {expected}; start a new one")]
    ForeignBase {
        /// Hash of the weights in use.
        expected: String,
        /// Hash of the weights of the delta.
        found: String,
    },
    /// A personal delta was stored by a newer version.
    #[error("personal delta has version {found}, expected at most {supported}; update this client")]
    Version {
        /// Newest version that is read.
        supported: u32,
        /// Version found.
        found: u32,
    },
    /// A file was written in a newer version of its format.
    #[error(
        "{what} has format version {found}, expected {supported}; update this program, or export \
         the files again"
    )]
    FormatVersion {
        /// Which file.
        what: &'static str,
        /// The version that is read.
        supported: u32,
        /// The version found.
        found: u32,
    },
    /// A cell does not have the hash that the index names.
    #[error("cell has SHA-256 {found}, expected {expected}; load it again")]
    Integrity {
        /// Hash in the index.
        expected: String,
        /// Hash of the bytes.
        found: String,
    },
    /// The index has no such cell.
    #[error("cell {cell} is not in the index, which has {cells} cells; use a cell of this index")]
    UnknownCell {
        /// Number of the cell.
        cell: u32,
        /// Number of cells in the index.
        cells: usize,
    },
    /// The compute device failed.
    #[error("compute device: {0}")]
    Device(String),
}
