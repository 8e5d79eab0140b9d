//! `tandem train`: files written, and resuming after an interruption.

use std::{
    fmt::Write as _,
    fs, io,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Bench, names};

const SRM: &str = "train srm --data set --out srm.model --dims 8 --heads 1 --blocks 1 --batch 28 \
                   --dropout 0.3 --minutes 30 --patience 100000";
#[cfg(feature = "llama")]
const LLM: &str = "train llm --data set --out llm.model --dims 8 --heads 1 --blocks 1 --batch 28 \
                   --dropout 0.3 --minutes 30 --patience 100000 --loss sampled:5 --untied --average 3 \
                   --encoding f32";

/// A folder with a dataset `set` of 40 users who walk through 30 items.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    let mut log = "user,item,timestamp\n".to_owned();
    for user in 0..40 {
        for step in 0..8 {
            let item = (user * 7 + step * (1 + user % 3)) % 30;
            writeln!(log, "{user},{item},{step}").unwrap();
        }
    }
    bench.write("log.csv", log);
    bench.done("import --events log.csv --name walks --out set");
    bench
}

/// The complete lines of a log.
fn lines(bench: &Bench, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(bench.path(name)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Starts the command and kills it after two logged epochs; returns the number logged.
fn kill(bench: &Bench, line: &str) -> usize {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(line.split_whitespace())
        .current_dir(bench.path("."))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while lines(bench, "log.jsonl").len() < 2 {
        assert!(begun.elapsed() < Duration::from_mins(5), "no epochs were logged");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed by a signal");
    lines(bench, "log.jsonl").len()
}

/// The last line of a run that must fail with status 2.
fn refused(bench: &Bench, line: &str) -> String {
    let output = bench.run(line);
    let message = crate::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {message}");
    let last = message.trim_end().lines().last().unwrap();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[test]
fn items_that_are_bought_again_are_validated() {
    let bench = Bench::new();
    let mut log = "user,item,timestamp\n".to_owned();
    for user in 0..20 {
        for step in 0..8 {
            let item = ["milk", "bread"][step % 2];
            writeln!(log, "{user},{item},{step}").unwrap();
        }
        writeln!(log, "{user},rare{user},-1").unwrap();
    }
    bench.write("log.csv", log);
    let said = bench.done("import --events log.csv --out set");
    assert!(said.contains("the last item of 20 of 20 users is one that they had before"), "{said}");
    let output = bench.run(&format!("{SRM} --epochs 20 --log log.jsonl"));
    assert!(output.status.success(), "{}", crate::text(&output.stderr));
    let last = lines(&bench, "log.jsonl").pop().unwrap();
    // Bread follows milk, although every user has had it.
    assert!(last["ndcg10"].as_f64().unwrap() > 0.4, "{last}");
}

fn a_killed_training_resumes_with_equal_results(command: &str, out: &str) {
    let bench = bench();
    let line = format!("{command} --checkpoint-minutes 0");
    let epochs = 2 + kill(&bench, &format!("{line} --epochs 100000 --log log.jsonl"));
    let output = bench.run(&format!("{line} --epochs {epochs} --log log.jsonl"));
    let said = crate::text(&output.stderr);
    assert!(
        output.status.success() && said.contains("resuming an interrupted training after"),
        "{said}"
    );
    let resumed = (lines(&bench, "log.jsonl"), fs::read(bench.path(out)).unwrap());
    assert!(!bench.path(&format!("{out}.checkpoint")).exists());
    let left = names(&bench.path("."));
    let mut expected = ["log.csv", "log.jsonl", out, "set"];
    expected.sort_unstable();
    assert_eq!(left, expected, "no other files remain");

    bench.done(&format!("{line} --epochs {epochs} --log whole.jsonl"));
    let whole = lines(&bench, "whole.jsonl");
    assert_eq!((resumed.0.len(), whole.len()), (epochs, epochs));
    for (resumed, whole) in resumed.0.iter().zip(&whole) {
        assert_eq!(resumed["epoch"], whole["epoch"]);
        for figure in ["loss", "ndcg10", "hr10"] {
            let difference = resumed[figure].as_f64().unwrap() - whole[figure].as_f64().unwrap();
            assert!(difference.abs() < 1e-5, "{resumed} {whole}");
        }
    }
    is_the_same_model(&resumed.1, &fs::read(bench.path(out)).unwrap());
}

/// Equal bytes, except for the last bits of a weight: the order of sums over threads varies.
/// Both file formats hold their numbers at multiples of four bytes.
fn is_the_same_model(found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    let words = found.chunks_exact(4).zip(expected.chunks_exact(4)).enumerate();
    for (at, (a, b)) in words.filter(|(_, (a, b))| a != b) {
        let weight = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        assert!((weight(a) - weight(b)).abs() < 1e-4, "word {at}: {a:?} {b:?}");
    }
}

#[test]
fn a_killed_training_of_the_small_model_resumes() {
    a_killed_training_resumes_with_equal_results(SRM, "srm.model");
}

#[cfg(feature = "llama")]
#[test]
fn a_killed_training_of_the_language_model_resumes() {
    a_killed_training_resumes_with_equal_results(LLM, "llm.model");
}

#[test]
fn a_checkpoint_of_another_training_is_refused_and_discarded_by_fresh() {
    let bench = bench();
    let line = format!("{SRM} --checkpoint-minutes 0 --log log.jsonl");
    kill(&bench, &format!("{line} --epochs 100000"));
    let interrupted = fs::read(bench.path("srm.model.checkpoint")).unwrap();

    let said = refused(&bench, &format!("{line} --epochs 3 --learning-rate 0.5"));
    assert!(said.contains("learning_rate was 0.001 and is now 0.5"), "{said}");
    assert!(said.contains("--fresh"), "{said}");
    bench.write("log.csv", "user,item\n1,2\n1,3\n1,4\n1,5\n1,6\n");
    bench.done("import --events log.csv --name other --out other");
    let other = format!("{line} --epochs 3").replace("--data set", "--data other");
    assert!(refused(&bench, &other).contains("data was "));
    for damaged in [&interrupted[..9], &interrupted[..interrupted.len() - 1], b"GGUF"] {
        bench.write("srm.model.checkpoint", damaged);
        let said = refused(&bench, &format!("{line} --epochs 3"));
        assert!(said.starts_with("cannot resume from srm.model.checkpoint: "), "{said}");
    }
    bench.write("srm.model.checkpoint", &interrupted);
    let model = fs::read(bench.path("srm.model")).unwrap();
    fs::remove_file(bench.path("srm.model")).unwrap();
    assert!(
        refused(&bench, &format!("{line} --epochs 3"))
            .contains("its best model so far, srm.model, is missing")
    );
    bench.write("srm.model", model);

    bench.done(&format!("{line} --epochs 1 --learning-rate 0.5 --fresh"));
    assert_eq!(lines(&bench, "log.jsonl").len(), 1, "the log is of this training");
    assert!(!bench.path("srm.model.checkpoint").exists());
}

#[test]
fn a_training_writes_log_and_chart() -> io::Result<()> {
    let bench = bench();
    bench.done(&format!("{SRM} --epochs 3 --log log.jsonl --plot plot.svg --validation-users 9"));
    let log = lines(&bench, "log.jsonl");
    assert_eq!(log.len(), 3);
    for field in ["epoch", "loss", "ndcg10", "hr10", "seconds", "positions_per_second"] {
        assert!(log.iter().all(|line| line[field].is_number()), "{field}");
    }
    // The mean over nine users is a multiple of 1/9.
    let ninths = log[2]["hr10"].as_f64().unwrap() * 9.0;
    assert!((ninths - ninths.round()).abs() < 1e-9, "{ninths}");
    let plot = fs::read_to_string(bench.path("plot.svg"))?;
    assert!(plot.starts_with("<svg") && plot.contains("Training loss"), "{plot}");
    assert!(plot.contains("best: epoch"), "{plot}");
    Ok(())
}

#[test]
fn the_small_model_is_trained_on_candidate_lists() {
    let bench = bench();
    let head: Value =
        serde_json::from_str(&fs::read_to_string(bench.path("set/dataset.json")).unwrap()).unwrap();
    let mut lists = json!({
        "model": "by hand", "model_sha256": "", "catalogue_hash": head["catalogue_hash"], "k": 3
    })
    .to_string();
    for user in 0..40 {
        let logprobs = [-1.0, -2.0, -3.0];
        let line = json!({"user": user, "length": 3, "items": [0, 1, 2], "logprobs": logprobs});
        write!(lists, "\n{line}").unwrap();
    }
    bench.write("lists.jsonl", lists + "\n");
    let said = bench.done(&format!("{SRM} --epochs 1 --lists lists.jsonl --listed 3 --ranked 9"));
    assert!(said.starts_with("srm.model: "), "{said}");
}

#[test]
fn unusable_options_are_refused() {
    let bench = bench();
    #[cfg(not(feature = "cuda"))]
    {
        let said = refused(&bench, &format!("{SRM} --device cuda"));
        assert!(said.contains("--features cuda"), "{said}");
    }
    let said = refused(&bench, &format!("{SRM} --epochs 9 --learning-rate 1e30 --warm-up 0"));
    assert!(said.contains("--learning-rate"), "{said}");
}

/// A GPU, or a Vulkan driver that computes on the CPU, takes the same steps. Needs a build with
/// `--features wgpu`.
#[cfg(feature = "wgpu")]
#[test]
fn a_gpu_trains_like_the_cpu() {
    let bench = bench();
    // Random weights and dropout are the device's own: both start from one model, without dropout.
    bench.done(&format!("{SRM} --epochs 1"));
    fs::rename(bench.path("srm.model"), bench.path("start.model")).unwrap();
    let line = "train srm --data set --start start.model --out srm.model --batch 28 --dropout 0 \
                --minutes 30 --patience 100000 --epochs 2 --fresh";
    for loss in ["full", "sampled:5", "bce:2"] {
        let train = |device: &str| {
            let log = format!("{device}.jsonl");
            bench.done(&format!("{line} --loss {loss} --device {device} --log {log}"));
            lines(&bench, &log)
        };
        let (cpu, gpu) = (train("cpu"), train("wgpu"));
        assert_eq!((cpu.len(), gpu.len()), (2, 2));
        for (cpu, gpu) in cpu.iter().zip(&gpu) {
            let (expected, found) = (cpu["loss"].as_f64().unwrap(), gpu["loss"].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-3, "{loss}: {gpu} is not {cpu}");
        }
        fs::remove_file(bench.path("cpu.jsonl")).unwrap();
        fs::remove_file(bench.path("wgpu.jsonl")).unwrap();
    }
}
