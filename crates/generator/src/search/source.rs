use crate::{GeneratorError, trie::Token};

/// Identifies a continuation of the prompt whose state a [`LogitsSource`] keeps; 0 is the
/// prompt itself.
pub type Branch = usize;

/// One continuation to evaluate.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The branch it continues.
    pub from: Branch,
    /// Its tokens, at least one.
    pub tokens: &'a [Token],
    /// The branch that stores the result; its previous content is overwritten.
    pub into: Branch,
}

/// Receives the logits of a step, identified by the step's position in the batch.
pub type ReadLogits<'a> = dyn FnMut(usize, &[f32]) -> Result<(), GeneratorError> + 'a;

/// A language model that has already read the prompt and scores the next token.
pub trait LogitsSource {
    /// The logits (nats, unnormalised) of the token after the prompt, `[vocabulary]`.
    ///
    /// # Errors
    /// If the model fails.
    fn prompt(&mut self) -> Result<&[f32], GeneratorError>;

    /// Evaluates the steps in one batch and passes `read` the logits after the last token
    /// of each step. No step continues another step of the same call.
    ///
    /// # Errors
    /// If the model fails, or if `read` returns an error.
    fn advance(
        &mut self,
        steps: &[Step<'_>],
        read: &mut ReadLogits<'_>,
    ) -> Result<(), GeneratorError>;

    /// Drops the state of a branch. Branches that continue it keep theirs.
    fn release(&mut self, branch: Branch);
}
