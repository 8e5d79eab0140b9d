use std::collections::HashSet;

use super::Fault;
use crate::gguf::{Metadata, Value};

/// Replaces bytes that are not UTF-8 when metadata is read.
const REPLACEMENT: char = '\u{fffd}';

/// Refuses vocabularies on which llama.cpp aborts when it loads them or tokenises a text.
pub(super) fn check(metadata: &Metadata) -> Result<(), Fault> {
    let model = match metadata.text("tokenizer.ggml.model") {
        None | Some("none") => {
            let expected = "a tokenizer (tokenizer.ggml.model)";
            return Err(Fault::new(expected, "a model without a tokenizer"));
        }
        Some("bert") => {
            return Err(Fault::new("a tokenizer of a decoder", "that of an encoder (bert)"));
        }
        Some(model) => model,
    };
    let tokens = tokens(metadata)?;
    let distinct = check_vocabulary(metadata)?;
    if matches!(model, "llama" | "t5" | "plamo2") {
        check_bytes(&distinct, model != "plamo2")?;
    }
    let begins = metadata.values.get("tokenizer.ggml.add_bos_token");
    if begins.map_or(matches!(model, "llama"), |value| *value == Value::Bool(true)) {
        check_special(metadata, "bos", default_bos(model), tokens.len())?;
    }
    if metadata.values.get("tokenizer.ggml.add_eos_token") == Some(&Value::Bool(true)) {
        check_special(metadata, "eos", default_eos(model), tokens.len())?;
    }
    Ok(())
}

/// The distinct tokens. Encoders need no more of their vocabulary.
pub(super) fn check_vocabulary(metadata: &Metadata) -> Result<HashSet<&str>, Fault> {
    let tokens = tokens(metadata)?;
    check_lengths(metadata, tokens.len())?;
    check_distinct(&tokens)
}

/// The texts of the vocabulary.
fn tokens(metadata: &Metadata) -> Result<Vec<&str>, Fault> {
    let expected = "a vocabulary (tokenizer.ggml.tokens)";
    let Some(tokens) = metadata.values.get("tokenizer.ggml.tokens").and_then(Value::as_array)
    else {
        return Err(Fault::new(expected, "none"));
    };
    let tokens: Option<Vec<&str>> = tokens.iter().map(Value::as_str).collect();
    match tokens {
        Some(tokens) if tokens.is_empty() => Err(Fault::new(expected, "no tokens")),
        Some(tokens) => Ok(tokens),
        None => Err(Fault::new(expected, "values that are no texts")),
    }
}

/// Scores and kinds belong to tokens one by one.
fn check_lengths(metadata: &Metadata, tokens: usize) -> Result<(), Fault> {
    for name in ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"] {
        let Some(value) = metadata.values.get(name) else { continue };
        let found = value.as_array().map_or(0, <[Value]>::len);
        if found < tokens {
            return Err(Fault::new(format!("{tokens} values in {name}"), found));
        }
    }
    Ok(())
}

/// llama.cpp requires that each text is one token.
fn check_distinct<'t>(tokens: &[&'t str]) -> Result<HashSet<&'t str>, Fault> {
    let mut distinct = HashSet::with_capacity(tokens.len());
    for (number, &token) in tokens.iter().enumerate() {
        // llama.cpp renames empty tokens. Tokens that are not UTF-8 look equal here.
        let is_comparable = !token.is_empty() && !token.contains(REPLACEMENT);
        if !distinct.insert(token) && is_comparable {
            let found = format!("`{}` again as token {number}", token.escape_debug());
            return Err(Fault::new("distinct tokens (tokenizer.ggml.tokens)", found));
        }
    }
    Ok(distinct)
}

/// Text that is not in the vocabulary is tokenised as bytes.
fn check_bytes(tokens: &HashSet<&str>, as_text: bool) -> Result<(), Fault> {
    let has_invalid = tokens.contains(REPLACEMENT.to_string().as_str());
    for byte in 0..=u8::MAX {
        let named = format!("<0x{byte:02X}>");
        let plain = char::from(byte).to_string();
        let is_text =
            as_text && if byte.is_ascii() { tokens.contains(plain.as_str()) } else { has_invalid };
        if !tokens.contains(named.as_str()) && !is_text {
            let expected = "a vocabulary with a token for each byte";
            return Err(Fault::new(expected, format!("none for {named}")));
        }
    }
    Ok(())
}

/// Checks that the token which is added to every text exists.
fn check_special(
    metadata: &Metadata,
    name: &str,
    default: Option<u64>,
    tokens: usize,
) -> Result<(), Fault> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    let exists = |id: &u64| *id < tokens as u64;
    // llama.cpp falls back to the default if the number is out of range.
    let id = metadata.number(&key);
    if id.filter(exists).or(default.filter(exists)).is_some() {
        return Ok(());
    }
    let found = id.map_or_else(|| "none".to_owned(), |id| format!("{id} of {tokens} tokens"));
    let expected = format!(
        "a token of the vocabulary in {key}, because tokenizer.ggml.add_{name}_token is set"
    );
    Err(Fault::new(expected, found))
}

/// llama.cpp's token at the start of a text, unless the file names one.
fn default_bos(model: &str) -> Option<u64> {
    match model {
        "llama" | "plamo2" => Some(1),
        "gpt2" | "hybriddna" | "whitespace" => Some(11),
        _ => None,
    }
}

/// llama.cpp's token at the end of a text, unless the file names one.
fn default_eos(model: &str) -> Option<u64> {
    match model {
        "llama" | "plamo2" => Some(2),
        "gpt2" | "hybriddna" | "whitespace" => Some(11),
        "t5" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::header, *};

    fn bytes() -> Vec<String> {
        (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")).collect()
    }

    fn check_with(model: &str, tokens: Value, values: &[(&str, Value)]) -> Result<(), Fault> {
        let base = [("tokenizer.ggml.model", model.into()), ("tokenizer.ggml.tokens", tokens)];
        check(&header(&[&base, values].concat()))
    }

    #[test]
    fn complete_vocabularies_pass() {
        assert_eq!(check_with("llama", bytes().into(), &[]), Ok(()));
        assert_eq!(check_with("gpt2", vec!["a", "b", ""].into(), &[]), Ok(()));
        // Bytes as they are, and tokens that are not UTF-8 or empty.
        let mut plain: Vec<String> = (0..128).map(|b| char::from(b).to_string()).collect();
        plain.extend(["\u{fffd}", "\u{fffd}", "", ""].map(str::to_owned));
        assert_eq!(check_with("llama", plain.into(), &[]), Ok(()));
    }

    #[test]
    fn vocabularies_on_which_llama_cpp_aborts_are_named() {
        let without = |byte: usize| {
            let mut tokens = bytes();
            tokens.remove(byte);
            Value::from(tokens)
        };
        let bos = ("tokenizer.ggml.add_bos_token", Value::Bool(true));
        let two = || Value::from(vec!["a", "b"]);
        for (model, tokens, values, part) in [
            ("none", two(), vec![], "a tokenizer (tokenizer.ggml.model)"),
            ("bert", two(), vec![], "a tokenizer of a decoder"),
            ("gpt2", Value::from(vec![1_u32]), vec![], "a vocabulary (tokenizer.ggml.tokens)"),
            ("gpt2", Value::Array(vec![]), vec![], "a vocabulary (tokenizer.ggml.tokens)"),
            ("gpt2", vec!["a", "b", "a"].into(), vec![], "distinct tokens"),
            ("llama", without(10), vec![], "a token for each byte"),
            ("gpt2", two(), vec![bos.clone()], "a token of the vocabulary in tokenizer.ggml.bos"),
            (
                "gemma4",
                two(),
                vec![bos, ("tokenizer.ggml.bos_token_id", 2_u32.into())],
                "a token of the vocabulary in tokenizer.ggml.bos",
            ),
            (
                "gpt2",
                two(),
                vec![("tokenizer.ggml.add_eos_token", true.into())],
                "a token of the vocabulary in tokenizer.ggml.eos",
            ),
            (
                "gpt2",
                two(),
                vec![("tokenizer.ggml.scores", vec![0.0_f32].into())],
                "2 values in tokenizer.ggml.scores",
            ),
        ] {
            let fault = check_with(model, tokens, &values).unwrap_err();
            assert!(fault.expected.contains(part), "{model}: {fault:?}");
        }
    }
}
