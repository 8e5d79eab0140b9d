use burn::{Tensor, module::Module};

use crate::{Body, scorer::indices};

/// A network that reads histories and scores items, both given as rows.
pub trait Encoder: Module {
    /// Scores at places of histories: `rows` `[batch, length, dims]` hold histories oldest
    /// first and padded on the right, `newest` positions in `[batch, length]`, each the end
    /// of a history that is asked about. Returns `[newest, own + shared candidates]`; padding
    /// changes nothing.
    fn score(&self, rows: Tensor<3>, newest: &[u32], candidates: Candidates) -> Tensor<2>;

    /// Whether an item's score is the dot product of its row with a state of the history,
    /// so that a whole catalogue costs one matrix product.
    fn is_dot_product(&self) -> bool {
        true
    }
}

impl Encoder for Body {
    fn score(&self, rows: Tensor<3>, newest: &[u32], candidates: Candidates) -> Tensor<2> {
        match self {
            Self::Sasrec(model) => candidates.dot(ends(model.hidden(rows), newest)),
            Self::Gru4rec(model) => candidates.dot(ends(model.hidden(rows), newest)),
            Self::Din(model) => model.score_at(rows, newest, &candidates.of_each(newest.len())),
        }
    }

    fn is_dot_product(&self) -> bool {
        !matches!(self, Self::Din(_))
    }
}

/// Rows of the items to be scored for each of several histories.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "handles of tensors, moved once a step")]
pub enum Candidates {
    /// Of its own for each: `[histories, candidates, dims]`.
    Own(Tensor<3>),
    /// The same for all: `[candidates, dims]`.
    Shared(Tensor<2>),
    /// The former, then the latter.
    Both(Tensor<3>, Tensor<2>),
}

impl Candidates {
    /// Dot products with the states of histories `[histories, dims]`: `[histories,
    /// candidates]`.
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

    /// All of them for each history, `[histories, candidates, dims]`.
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

/// The places `newest` of hidden states `[batch, length, dims]`: `[newest, dims]`. They are
/// real positions only: padding would be most of the work in a batch of short windows.
pub(crate) fn ends(hidden: Tensor<3>, newest: &[u32]) -> Tensor<2> {
    let [batch, length, dims] = hidden.dims();
    let newest = indices(newest, &hidden.device());
    hidden.reshape([batch * length, dims]).select(0, newest)
}
