use super::Fault;
use crate::gguf::{Metadata, Value};

/// Architectures of llama.cpp that read a whole text at once.
const ENCODERS: [&str; 13] = [
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "t5",
    "t5encoder",
    "clip",
    "gemma-embedding",
    "llama-embed",
];
/// Architectures that fill in masked tokens instead of continuing a text.
const DIFFUSION: [&str; 4] = ["dream", "llada", "llada-moe", "rnd1"];
/// Architectures that draft tokens for another model, and decoders of sound.
const PARTS: [&str; 4] = ["eagle3", "dflash", "gemma4-assistant", "wavtokenizer-dec"];
/// Architectures whose memory is a state instead of a key-value cache, wholly or in part.
const RECURRENT: [&str; 24] = [
    "mamba",
    "mamba2",
    "rwkv6",
    "rwkv6qwen2",
    "rwkv7",
    "arwkv7",
    "jamba",
    "falcon-h1",
    "plamo2",
    "granitehybrid",
    "lfm2",
    "lfm2moe",
    "nemotron_h",
    "nemotron_h_moe",
    "qwen3next",
    "kimi-linear",
    "bailingmoe3",
    "kimi-k3",
    "glm5-next",
    "qwen35",
    "qwen35moe",
    "qwen4exp",
    "deepseek4",
    "minimax-01",
];
/// Groups of keys that only recurrent layers have.
const RECURRENT_KEYS: [&str; 3] = ["ssm.", "wkv.", "shortconv."];

/// Refuses models that do not score the next token of a text from a key-value cache.
pub(super) fn check(metadata: &Metadata) -> Result<(), Fault> {
    let Some(architecture) = metadata.text("general.architecture") else {
        return Err(Fault::new("an architecture (general.architecture)", "none"));
    };
    let found = |kind: &str| format!("{kind} (general.architecture {architecture})");
    let decoder = "a model that scores the next token";
    let key = |name: &str| format!("{architecture}.{name}");
    let pools = metadata.values.contains_key(&key("pooling_type"));
    if pools || ENCODERS.contains(&architecture) {
        return Err(Fault::new(decoder, found("an encoder")));
    }
    if DIFFUSION.contains(&architecture) {
        return Err(Fault::new(decoder, found("a diffusion model")));
    }
    if PARTS.contains(&architecture) {
        return Err(Fault::new(decoder, found("a part of another model")));
    }
    let causal = key("attention.causal");
    if metadata.values.get(&causal) == Some(&Value::Bool(false)) {
        return Err(Fault::new(decoder, format!("{causal} = false (an encoder)")));
    }
    // A search continues one prompt in many ways, which a state that has moved on cannot.
    let is_recurrent = RECURRENT.contains(&architecture)
        || metadata.values.keys().any(|name| {
            let name = name.strip_prefix(architecture).and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| RECURRENT_KEYS.iter().any(|group| name.starts_with(group)))
        });
    if is_recurrent {
        let expected = "a transformer, whose key-value cache can be continued in several ways";
        return Err(Fault::new(expected, found("a recurrent or hybrid model")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::header, *};

    #[test]
    fn only_causal_transformers_pass() {
        let check_with = |architecture: &str, values: &[(&str, Value)]| {
            let mut all = vec![("general.architecture", Value::from(architecture))];
            all.extend_from_slice(values);
            check(&header(&all))
        };
        assert_eq!(check_with("llama", &[("llama.attention.causal", true.into())]), Ok(()));
        assert_eq!(check_with("qwen2", &[("llama.ssm.conv_kernel", 4_u32.into())]), Ok(()));
        for (architecture, values, part) in [
            ("llama", vec![("llama.attention.causal", false.into())], "attention.causal = false"),
            ("llama", vec![("llama.pooling_type", 1_u32.into())], "an encoder"),
            ("nomic-bert", vec![], "an encoder"),
            ("llada", vec![], "a diffusion model"),
            ("eagle3", vec![], "a part of another model"),
            ("lfm2", vec![], "a recurrent or hybrid model"),
            ("new", vec![("new.ssm.conv_kernel", 4_u32.into())], "a recurrent or hybrid model"),
        ] {
            let fault = check_with(architecture, &values).unwrap_err();
            assert!(fault.found.contains(part), "{architecture}: {fault:?}");
        }
        assert_eq!(check(&header(&[])).unwrap_err().found, "none");
    }
}
