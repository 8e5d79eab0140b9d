//! Exit status and message of a failure.

use tandem_dataset::DatasetError;
use tandem_evaluation::EvaluationError;
use tandem_generator::{GeneratorError, gguf::GgufError};
use tandem_model::ModelError;
use tandem_release_client::ReleaseClientError;
use tandem_release_store::ReleaseStoreError;
use tandem_training::TrainingError;

/// Unusable input; the text says what was expected, what was found and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadInput(pub(crate) String);

/// The failure of a command that needs a language model.
#[cfg(not(feature = "llama"))]
pub(crate) fn no_language_model() -> BadInput {
    BadInput("this `tandem` was built without llama.cpp, which runs the language model: install it with `cargo install --path crates/trainer --features llama`".to_owned())
}

/// The failure of a command that needs `DataFusion`.
#[cfg(not(feature = "datafusion"))]
pub(crate) fn no_datafusion() -> BadInput {
    BadInput("this `tandem` was built without DataFusion, which imports logs larger than memory: install it with `cargo install --path crates/trainer --features llama,datafusion`, or import in memory, without --memory and --cluster".to_owned())
}

/// 2 for unusable input, else 1.
pub(crate) fn exit_status(error: &anyhow::Error) -> u8 {
    let bad_input = error.chain().any(|cause| {
        cause.is::<BadInput>()
            || cause.downcast_ref().is_some_and(DatasetError::blames_input)
            || cause.downcast_ref().is_some_and(TrainingError::blames_input)
            || cause.downcast_ref().is_some_and(EvaluationError::blames_input)
            || cause.downcast_ref().is_some_and(GeneratorError::blames_input)
            || cause.downcast_ref().is_some_and(GgufError::blames_input)
            || cause.downcast_ref().is_some_and(ReleaseClientError::blames_input)
            || cause.downcast_ref().is_some_and(ReleaseStoreError::blames_input)
            || cause.downcast_ref().is_some_and(|model| !matches!(model, ModelError::Device(_)))
    });
    #[cfg(feature = "datafusion")]
    let bad_input = bad_input
        || error.chain().any(|cause| {
            let cause = cause.downcast_ref();
            cause.is_some_and(tandem_log_engine::LogEngineError::blames_input)
        });
    if bad_input { 2 } else { 1 }
}

/// The error and its causes in one line, without causes that the message already contains.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_exit_status_tells_input_errors_from_failures() {
        let io = |action| {
            let (path, source) = ("x".into(), std::io::Error::other("no"));
            anyhow::Error::new(DatasetError::Io { action, path, source })
        };
        assert_eq!(exit_status(&io("open")), 2);
        assert_eq!(exit_status(&io("write")), 1);
        let wrapped = anyhow::Error::new(BadInput("what".into())).context("while reading");
        assert_eq!(exit_status(&wrapped), 2);
        assert_eq!(exit_status(&anyhow::anyhow!("no disk")), 1);
        assert_eq!(exit_status(&ModelError::Empty("the history").into()), 2);
        assert_eq!(exit_status(&ModelError::Device("lost".into()).into()), 1);
        let gguf = |action| {
            let (path, source) = ("x".into(), std::io::Error::other("no"));
            GgufError::Io { action, path, source }
        };
        assert_eq!(exit_status(&gguf("read").into()), 2);
        assert_eq!(exit_status(&GeneratorError::from(gguf("read")).into()), 2);
        assert_eq!(exit_status(&GeneratorError::from(gguf("write")).into()), 1);
        assert_eq!(exit_status(&GeneratorError::NotFinite.into()), 2);
    }

    #[test]
    fn each_cause_appears_once() {
        let error = Err::<(), _>(std::io::Error::other("disk full")).context("cannot write x");
        assert_eq!(sentence(&error.unwrap_err()), "cannot write x: disk full");
        let source = std::io::Error::other("gone");
        let error = DatasetError::Io { action: "open", path: "x".into(), source };
        assert_eq!(sentence(&error.into()), "cannot open x: gone");
    }
}
