use burn::{
    Tensor,
    module::Module,
    tensor::{Device, Int, TensorData},
};
use tandem_model::Body;

/// A network that encodes histories and scores items; both are given as item rows.
pub trait SequenceModel: Module {
    /// Logits after selected positions of histories.
    ///
    /// `rows` `[batch, length, dims]`: histories, oldest item first, padded on the right;
    /// `positions`: flat indices into `[batch, length]`, each the last item of a history to
    /// score after. Returns `[positions, own + shared candidates]`. Padding must not change
    /// the result.
    fn score(&self, rows: Tensor<3>, positions: &[u32], candidates: Candidates) -> Tensor<2>;

    /// The hidden states at the same positions, `[positions, dims]`, whose dot product with an
    /// item's row is its logit; `None` if the logits are no dot products.
    fn states(&self, rows: Tensor<3>, positions: &[u32]) -> Option<Tensor<2>>;

    /// Whether the logit of an item is a dot product, so that scoring a whole catalogue is one
    /// matrix product.
    fn is_dot_product(&self) -> bool {
        true
    }
}

impl SequenceModel for Body {
    fn score(&self, rows: Tensor<3>, positions: &[u32], candidates: Candidates) -> Tensor<2> {
        match self {
            Self::Sasrec(model) => {
                candidates.dot(select_last_hidden(model.hidden(rows), positions))
            }
            Self::Gru4rec(model) => {
                candidates.dot(select_last_hidden(model.hidden(rows), positions))
            }
            Self::Din(model) => {
                model.score_at(rows, positions, &candidates.of_each(positions.len()))
            }
        }
    }

    fn states(&self, rows: Tensor<3>, positions: &[u32]) -> Option<Tensor<2>> {
        let hidden = match self {
            Self::Sasrec(model) => model.hidden(rows),
            Self::Gru4rec(model) => model.hidden(rows),
            Self::Din(_) => return None,
        };
        Some(select_last_hidden(hidden, positions))
    }

    fn is_dot_product(&self) -> bool {
        !matches!(self, Self::Din(_))
    }
}

/// Rows of the items to score for several histories.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "tensor handles, moved once a step")]
pub enum Candidates {
    /// Separate candidates for each history: `[histories, candidates, dims]`.
    Own(Tensor<3>),
    /// The same candidates for all histories: `[candidates, dims]`.
    Shared(Tensor<2>),
    /// First the own, then the shared candidates.
    Both(Tensor<3>, Tensor<2>),
}

impl Candidates {
    /// Dot products with hidden states `[histories, dims]`: `[histories, candidates]`.
    pub(crate) fn dot(self, states: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Own(rows) => {
                let [histories, count, _] = rows.dims();
                (rows * states.unsqueeze_dim::<3>(1)).sum_dim(2).reshape([histories, count])
            }
            Self::Shared(rows) => states.matmul(rows.transpose()),
            Self::Both(own, shared) => {
                let own = Self::Own(own).dot(states.clone());
                Tensor::cat(vec![own, Self::Shared(shared).dot(states)], 1)
            }
        }
    }

    /// All candidates of each history: `[histories, candidates, dims]`.
    fn of_each(self, histories: usize) -> Tensor<3> {
        match self {
            Self::Own(rows) => rows,
            Self::Shared(rows) => {
                let [count, dims] = rows.dims();
                rows.unsqueeze::<3>().expand([histories, count, dims])
            }
            Self::Both(own, shared) => {
                Tensor::cat(vec![own, Self::Shared(shared).of_each(histories)], 1)
            }
        }
    }
}

/// Selects `positions` (flat indices into `[batch, length]`) of hidden states `[batch, length,
/// dims]`: `[positions, dims]`. Scoring real positions only skips the padding, which is most
/// of a batch of short windows.
pub(crate) fn select_last_hidden(hidden: Tensor<3>, positions: &[u32]) -> Tensor<2> {
    let [batch, length, dims] = hidden.dims();
    let positions = indices(positions, &hidden.device());
    hidden.reshape([batch * length, dims]).select(0, positions)
}

/// Indices as an integer tensor `[values]`.
pub(crate) fn indices(values: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.iter().map(|value| value.cast_signed()).collect();
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
