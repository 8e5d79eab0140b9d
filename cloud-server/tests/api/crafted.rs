//! Damaged GGUF files: the server refuses them with one sentence before it listens, or serves
//! them, and never aborts.

use std::{fs, fs::File};

use serde_json::json;
use tandem_generator::testing::{CRAFTED_FAULTS, crafted_faults, write_crafted_gguf};

use crate::{process::Process, start::Folder};

/// What the server made of a file.
enum Outcome {
    /// It ended with status 2 and this sentence.
    Refused(String),
    /// It made lists.
    Served,
}

/// Starts a server with a variant of the tiny model.
///
/// # Panics
/// If the server does anything but refusing or serving it.
fn start_with_variant(folder: &Folder, number: u64) -> (String, Outcome) {
    let gguf = folder.path("crafted.gguf");
    let name = write_crafted_gguf(&gguf, number).unwrap();
    let errors = folder.path("errors");
    let mut command = folder.command_with(&gguf);
    command.stderr(File::create(&errors).unwrap());
    let started = Process::try_start(folder.root.path(), &mut command);
    let mut process = match started {
        Err(status) => {
            let text = fs::read_to_string(&errors).unwrap();
            assert_eq!(status.code(), Some(2), "{number} ({name}): {status} {text}");
            let sentence = text.strip_prefix("cloud-server: ").unwrap_or_default().trim_end();
            let is_sentence = !sentence.is_empty() && !sentence.contains('\n');
            assert!(is_sentence, "{number} ({name}): {text}");
            return (name, Outcome::Refused(sentence.to_owned()));
        }
        Ok(process) => process.ready(),
    };
    for history in [vec!["1"], vec!["30", "2", "17"], vec!["5"; 100], vec![]] {
        let body = json!({ "history": history, "k": 20 }).to_string();
        let (status, answer) = process.post("/v1/candidates", &body);
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(status, 200, "{number} ({name}): {answer}");
    }
    assert_eq!(process.stop_with("-TERM").code(), Some(0), "{number} ({name})");
    fs::remove_file(folder.path("port")).unwrap();
    (name, Outcome::Served)
}

#[test]
fn known_faults_are_refused_with_the_reason() {
    let folder = Folder::new();
    for (fault, part) in [
        ("not causal", "llama.attention.causal = false"),
        ("a diffusion model", "a diffusion model (general.architecture llada)"),
        ("a hybrid model", "a recurrent or hybrid model (general.architecture lfm2)"),
        (
            "second part of a split file",
            "expected the first part of a split model, found part 2 of 2",
        ),
        ("too many blocks", "expected 1 to 512 blocks"),
        ("unknown rope scaling", "one of none, linear, yarn, longrope"),
        ("a rope base of 0", "llama.rope.freq_base above 0"),
        ("a negative epsilon", "layer_norm_rms_epsilon of at least 0"),
        ("equal tokens", "distinct tokens"),
        ("a missing byte", "a token for each byte"),
        ("a tokenizer without a first token", "tokenizer.ggml.bos_token_id"),
        ("an embedding that is NaN", "NaN or infinity in token_embd.weight"),
        ("weights that overflow", "not finite"),
    ] {
        let number = crafted_faults().position(|name| name == fault).unwrap() as u64;
        let (_, outcome) = start_with_variant(&folder, number);
        let Outcome::Refused(sentence) = outcome else { panic!("{fault} was served") };
        assert!(sentence.starts_with("cannot use the language model: "), "{sentence}");
        assert!(sentence.contains(part), "{fault}: {sentence}");
        assert!(sentence.contains("crafted.gguf") || part == "not finite", "{fault}: {sentence}");
    }
}

#[test]
fn damaged_models_never_abort_the_server() {
    let folder = Folder::new();
    // Every ninth of all single faults, and some random ones.
    let random = CRAFTED_FAULTS as u64..CRAFTED_FAULTS as u64 + 12;
    for number in (0..CRAFTED_FAULTS as u64).step_by(9).chain(random) {
        start_with_variant(&folder, number);
    }
}

/// All single faults and as many random ones as make 200. Takes minutes:
/// `cargo test --release -p cloud-server --test api -- --ignored --nocapture two_hundred`
#[test]
#[ignore = "takes minutes"]
fn two_hundred_damaged_models_never_abort_the_server() {
    let folder = Folder::new();
    let (mut refused, mut crashed, mut served) = (0, 0, 0);
    for number in 0..200 {
        match start_with_variant(&folder, number) {
            (name, Outcome::Refused(sentence)) if sentence.contains("ends the process") => {
                crashed += 1;
                println!("{number} ended the process of the trial ({name}): {sentence}");
            }
            (name, Outcome::Refused(sentence)) => {
                refused += 1;
                println!("{number} was refused ({name}): {sentence}");
            }
            (name, Outcome::Served) => {
                served += 1;
                println!("{number} was served ({name})");
            }
        }
    }
    println!("{refused} refused, {crashed} ended the process of the trial, {served} served");
}

/// A model that aborts the process leaves a running server as it is.
#[test]
fn a_release_with_a_model_that_aborts_is_refused_and_the_earlier_one_stays() {
    crate::releases::check_refusal(|gguf| {
        let number = crafted_faults().position(|name| name == "a rope base of 0").unwrap() as u64;
        write_crafted_gguf(gguf, number).unwrap();
    });
}
