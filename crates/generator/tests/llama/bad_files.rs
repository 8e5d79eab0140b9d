//! Files that are not what they should be, and rewriting those that are.

use std::path::Path;

use tandem_generator::{
    GeneratorError, Model,
    gguf::{GgufError, Metadata, Writer},
    llama::{Format, requantise},
    testing::write_gguf_without_text,
};

use crate::support::{ask, catalogue, items, options, tiny_file};

fn refuse(path: &Path) -> GeneratorError {
    let error = Model::load(path, catalogue(&["a", "b"], &[]), &options()).unwrap_err();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    error
}

#[test]
fn a_missing_file_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let error = refuse(&folder.path().join("none.gguf"));
    assert!(matches!(error, GeneratorError::Gguf(GgufError::Io { .. })), "{error}");
    refuse(folder.path());
}

#[test]
fn not_a_gguf_and_half_a_gguf() {
    let tiny = tiny_file(1);
    let bytes = std::fs::read(&tiny.path).unwrap();
    std::fs::write(&tiny.path, &bytes[..bytes.len() / 2]).unwrap();
    let error = refuse(&tiny.path);
    assert!(error.to_string().contains("cut short"), "{error}");
    std::fs::write(&tiny.path, b"<!doctype html>").unwrap();
    let error = refuse(&tiny.path);
    assert!(matches!(error, GeneratorError::Gguf(GgufError::Format { .. })), "{error}");
}

#[test]
fn a_model_without_text() {
    let tiny = tiny_file(1);
    write_gguf_without_text(&tiny.path, 1).unwrap();
    let error = refuse(&tiny.path);
    assert!(matches!(error, GeneratorError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("tokenizer"), "{error}");
}

#[test]
fn a_model_that_llama_cpp_cannot_load() {
    let tiny = tiny_file(1);
    let mut writer = Writer::new("llama");
    writer.set("tokenizer.ggml.model", "llama");
    writer.write(&tiny.path).unwrap();
    assert!(matches!(refuse(&tiny.path), GeneratorError::Load { .. }));
    let mut writer = Writer::new("bert");
    writer.set("tokenizer.ggml.model", "bert");
    writer.write(&tiny.path).unwrap();
    assert!(matches!(refuse(&tiny.path), GeneratorError::Unsupported { .. }));
}

#[test]
fn a_requantised_model_makes_lists() {
    let tiny = tiny_file(1);
    let to = tiny.path.with_file_name("small.gguf");
    for format in [Format::Q8_0, Format::Q4_0] {
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
fn what_cannot_be_requantised_leaves_nothing_behind() {
    let tiny = tiny_file(1);
    std::fs::write(&tiny.path, b"not a model").unwrap();
    let to = tiny.path.with_file_name("small.gguf");
    assert!(requantise(&tiny.path, &to, Format::Q8_0).is_err());
    let mut writer = Writer::new("llama");
    writer.set("tokenizer.ggml.model", "llama");
    writer.write(&tiny.path).unwrap();
    let error = requantise(&tiny.path, &to, Format::Q8_0).unwrap_err();
    assert!(matches!(error, GeneratorError::Requantise { .. }), "{error}");
    let left: Vec<_> = std::fs::read_dir(tiny.path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
