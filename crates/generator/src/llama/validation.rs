use std::path::Path;

use tandem_dataset::files::sha256_hex_of_file;

use crate::{
    GeneratorError,
    gguf::{GgufError, Metadata},
};

/// Refuses files on which llama.cpp would abort the process, and models that do not score a
/// next token.
pub(super) fn check_text_model(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    // The text functions of llama.cpp abort without a vocabulary.
    if metadata.text("tokenizer.ggml.model").is_none_or(|tokenizer| tokenizer == "none") {
        let expected = "a tokenizer (tokenizer.ggml.model)";
        return Err(unsupported(path, expected, "a model without a tokenizer"));
    }
    let architecture = metadata.text("general.architecture").unwrap_or("none");
    let pools = metadata.values.contains_key(&format!("{architecture}.pooling_type"));
    if pools || ["bert", "t5", "clip"].iter().any(|kind| architecture.contains(kind)) {
        let found = format!("an encoder (general.architecture {architecture})");
        return Err(unsupported(path, "a model that scores the next token", &found));
    }
    Ok(())
}

pub(super) fn unsupported(path: &Path, expected: &str, found: &str) -> GeneratorError {
    GeneratorError::Unsupported {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// SHA-256 of a file, lower-case hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String, GeneratorError> {
    Ok(sha256_hex_of_file(path).map_err(GgufError::read(path))?)
}
