use thiserror::Error;

/// What can be wrong with weights, rows and inputs of a model.
#[derive(Debug, Error, PartialEq)]
pub enum ModelError {
    /// The shape asked for makes no model.
    #[error("model configuration: {0}")]
    Config(String),
    /// The bytes are not a weight file, or a damaged one.
    #[error("weight file: {0}")]
    Format(String),
    /// A tensor is missing from the weight file.
    #[error("weight file: tensor `{name}` is missing; it is of another kind of model or version")]
    MissingTensor {
        /// Its path in the model.
        name: String,
    },
    /// A tensor of the weight file does not fit.
    #[error("weight file: tensor `{name}` has shape {found:?}, the model needs {expected:?}")]
    TensorShape {
        /// Its path in the model.
        name: String,
        /// What the model needs.
        expected: Vec<usize>,
        /// What the file holds.
        found: Vec<usize>,
    },
    /// A weight or row is not a finite number.
    #[error("{what} holds a value that is not finite")]
    NotFinite {
        /// Where.
        what: String,
    },
    /// A slice or file has another length than its shape says.
    #[error("{what}: expected {expected} values, found {found}")]
    Length {
        /// Which input.
        what: &'static str,
        /// What the shape says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// There is nothing to compute on.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A personal delta belongs to other shared weights.
    #[error("personal delta was learnt on base {found}, the weights in use are {expected}")]
    ForeignBase {
        /// Hash of the weights in use.
        expected: String,
        /// Hash the delta was learnt on.
        found: String,
    },
    /// A personal delta was stored by a newer version.
    #[error("personal delta has version {found}, this client reads up to {supported}; update it")]
    Version {
        /// What is supported.
        supported: u32,
        /// What was found.
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
    /// The device did not compute.
    #[error("device: {0}")]
    Device(String),
}
