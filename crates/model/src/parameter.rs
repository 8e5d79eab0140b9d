/// A parameter of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Path in the module, joined by dots (`blk.0.attn_q.weight`).
    pub name: String,
    /// Shape; that of a linear layer is `[inputs, outputs]`.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}
