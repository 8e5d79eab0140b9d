//! Invalid files are refused with a typed error; valid files can be requantised.

use std::path::Path;

use tandem_generator::{
    GeneratorError, Model,
    gguf::{GgufError, Metadata, Writer},
    llama::{Quantisation, requantise},
    testing::write_gguf_without_text,
};

use crate::support::{ask, catalogue, items, options, tiny_file};

fn load_error(path: &Path) -> GeneratorError {
    let error = Model::load(path, catalogue(&["a", "b"], &[]), &options()).unwrap_err();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    error
}

#[test]
fn a_missing_file_and_a_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_error(&folder.path().join("none.gguf"));
    assert!(matches!(error, GeneratorError::Gguf(GgufError::Io { .. })), "{error}");
    load_error(folder.path());
}

#[test]
fn a_truncated_file_and_a_file_of_another_format_are_refused() {
    let tiny = tiny_file(1);
    let bytes = std::fs::read(&tiny.path).unwrap();
    std::fs::write(&tiny.path, &bytes[..bytes.len() / 2]).unwrap();
    let error = load_error(&tiny.path);
    assert!(error.to_string().contains("truncated"), "{error}");
    std::fs::write(&tiny.path, b"<!doctype html>").unwrap();
    let error = load_error(&tiny.path);
    assert!(matches!(error, GeneratorError::Gguf(GgufError::Format { .. })), "{error}");
}

#[test]
fn a_model_without_a_tokenizer_is_refused() {
    let tiny = tiny_file(1);
    write_gguf_without_text(&tiny.path, 1).unwrap();
    let error = load_error(&tiny.path);
    assert!(matches!(error, GeneratorError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("tokenizer"), "{error}");
}

#[test]
fn a_model_without_weights_and_an_encoder_are_refused() {
    let tiny = tiny_file(1);
    let mut writer = Writer::new("llama");
    writer.set("tokenizer.ggml.model", "llama");
    writer.write(&tiny.path).unwrap();
    assert!(matches!(load_error(&tiny.path), GeneratorError::Unsupported { .. }));
    let mut writer = Writer::new("bert");
    writer.set("tokenizer.ggml.model", "bert");
    writer.write(&tiny.path).unwrap();
    assert!(matches!(load_error(&tiny.path), GeneratorError::Unsupported { .. }));
}

#[test]
fn a_requantised_model_generates_lists() {
    let tiny = tiny_file(1);
    let to = tiny.path.with_file_name("small.gguf");
    for format in [Quantisation::Q8_0, Quantisation::Q4_0] {
        requantise(&tiny.path, &to, format).unwrap();
        let encodings: Vec<u32> =
            Metadata::read(&to).unwrap().tensors.iter().map(|tensor| tensor.encoding).collect();
        assert!(encodings.iter().any(|&encoding| encoding == 8 || encoding == 2));
        let catalogue = catalogue(&["a", "b", "c"], &[]);
        let model = Model::load(&to, catalogue.clone(), &options()).unwrap();
        ask(model.generator().unwrap().as_mut(), &catalogue, &items([0]), &[], 2);
    }
}

#[test]
fn a_failed_requantisation_leaves_no_file() {
    let tiny = tiny_file(1);
    std::fs::write(&tiny.path, b"not a model").unwrap();
    let to = tiny.path.with_file_name("small.gguf");
    assert!(requantise(&tiny.path, &to, Quantisation::Q8_0).is_err());
    let mut writer = Writer::new("llama");
    writer.set("tokenizer.ggml.model", "llama");
    writer.write(&tiny.path).unwrap();
    let error = requantise(&tiny.path, &to, Quantisation::Q8_0).unwrap_err();
    assert!(matches!(error, GeneratorError::Requantise { .. }), "{error}");
    let left: Vec<_> = std::fs::read_dir(tiny.path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
