//! Text embeddings: conversion of a sentence embedder, pooling, refusals.

use std::path::PathBuf;

use serde::Deserialize;
use tandem_generator::{
    bert::convert_bert,
    gguf::{Encoding, Writer},
    llama::{Pooling, TextEmbedder},
};

/// A text and the first numbers of its normalised embedding, by `tests/reference/minilm.py`.
#[derive(Deserialize)]
struct Reference {
    text: String,
    first: Vec<f32>,
}

fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in &mut vector {
        *value /= length;
    }
    vector
}

#[test]
fn a_converted_embedder_agrees_with_an_independent_implementation() {
    let Some(folder) = std::env::var_os("TEST_EMBEDDER").map(PathBuf::from) else {
        eprintln!("skipped: TEST_EMBEDDER is not set to the folder of all-MiniLM-L6-v2");
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let gguf = scratch.path().join("minilm.gguf");
    convert_bert(&folder, "all-MiniLM-L6-v2", &gguf, Encoding::F16).unwrap();
    let embedder = TextEmbedder::load(&gguf, None, 2).unwrap();
    assert_eq!((embedder.dims(), embedder.pooling()), (384, Pooling::Mean));
    assert_eq!(embedder.name(), "all-MiniLM-L6-v2");

    let expected: Vec<Reference> =
        serde_json::from_str(include_str!("../reference/minilm.json")).unwrap();
    let mut texts: Vec<&str> = expected.iter().map(|it| it.text.as_str()).collect();
    // An empty text between others, and one that is longer than the model reads.
    let long = "green tea ".repeat(600);
    texts.insert(2, " ");
    texts.push(&long);
    let mut embedded = 0;
    let vectors = embedder.embed(&texts, |count| embedded += count).unwrap();
    let mut vectors: Vec<Vec<f32>> = vectors.chunks(384).map(<[f32]>::to_vec).collect();
    assert_eq!(embedded, texts.len() - 1);
    assert!(vectors.remove(2).iter().all(|value| *value == 0.0));
    assert!(vectors.pop().unwrap().iter().all(|value| value.is_finite()));
    for (vector, expected) in vectors.into_iter().zip(&expected) {
        for (found, wanted) in normalised(vector).iter().zip(&expected.first) {
            assert!((found - wanted).abs() < 1e-3, "{}: {found} {wanted}", expected.text);
        }
    }
    // Alone, a text has the vector that it has among others.
    let alone = normalised(embedder.embed(&["Green tea"], |_| ()).unwrap());
    assert!((alone[0] - expected[0].first[0]).abs() < 1e-3);
}

#[test]
fn models_that_embed_no_text_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let refusal = |name: &str, set: &dyn Fn(&mut Writer)| {
        let path = scratch.path().join(name);
        let mut writer = Writer::new("bert");
        set(&mut writer);
        writer.write(&path).unwrap();
        TextEmbedder::load(&path, None, 1).unwrap_err().to_string()
    };
    assert!(refusal("a", &|_| ()).contains("without a tokenizer"));
    let reranker = refusal("b", &|writer| {
        writer.set("tokenizer.ggml.model", "bert").set("bert.pooling_type", 4_u32);
    });
    assert!(reranker.contains("reranker"), "{reranker}");
    let unknown = refusal("c", &|writer| {
        writer.set("tokenizer.ggml.model", "bert").set("bert.pooling_type", 9_u32);
    });
    assert!(unknown.contains("pooling type 9"), "{unknown}");
}

#[test]
fn folders_without_a_bert_model_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("m.gguf");
    let convert = || convert_bert(scratch.path(), "m", &out, Encoding::F16).unwrap_err();
    assert!(convert().to_string().contains("config.json"));
    let config = |activation: &str| {
        format!(
            r#"{{"hidden_size":4,"num_hidden_layers":1,"num_attention_heads":1,"intermediate_size":8,
                "max_position_embeddings":8,"layer_norm_eps":1e-12,"type_vocab_size":2,
                "hidden_act":"{activation}"}}"#
        )
    };
    std::fs::write(scratch.path().join("config.json"), config("relu")).unwrap();
    assert!(convert().to_string().contains("hidden_act gelu"));
    std::fs::write(scratch.path().join("config.json"), config("gelu")).unwrap();
    assert!(convert().to_string().contains("vocab.txt"));
    std::fs::write(scratch.path().join("vocab.txt"), "[PAD]\nb\n").unwrap();
    std::fs::write(scratch.path().join("model.safetensors"), "x").unwrap();
    assert!(convert().to_string().contains("a safetensors file"));
    assert!(!out.exists());
}
