//! Speed of candidate lists, printed as one line of JSON.
//!
//! Titles: `speed --gguf FILE --data DIR [--threads N] [--queries 20] [--width N] [--tokens N]`
//!
//! Item tokens: `speed --item-tokens [--items 12101] [--dims 64] [--blocks 2] [--threads N]
//! [--sequences N] [--queries 300] [--encoding q8_0|f16|f32]`
//!
//! With titles, each query is another user's 10 newest items and asks for 50 candidates. The
//! reference is llama.cpp alone in the same process: the same context decodes batches of the
//! same shape. With item tokens, a decoder with random weights reads 50 items and returns the
//! exact top 100; the reference is `llama_decode` of the same batch.

mod item_tokens;

use std::{path::Path, sync::Arc};

use tandem_dataset::{Dataset, ItemIndex};
use tandem_generator::{
    Generator, LoadOptions, Model, Query, item_tokens::Encoding, llama::passive_threads,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    passive_threads()?;
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number =
        |name: &str, default: usize| value(name).map_or(Ok(default), |text| text.parse::<usize>());
    let mut options = LoadOptions::default();
    options.threads = number("--threads", options.threads)?;
    options.width = number("--width", options.width)?;
    options.decode_tokens = number("--tokens", options.decode_tokens)?;
    options.sequences = number("--sequences", options.sequences)?;
    if arguments.iter().any(|a| a == "--item-tokens") {
        let size = item_tokens::Size {
            items: number("--items", 12_101)?,
            dims: number("--dims", 64)?,
            blocks: number("--blocks", 2)?,
            rounds: number("--queries", 300)?,
            encoding: match value("--encoding").as_deref() {
                None | Some("q8_0") => Encoding::Q8_0,
                Some("f16") => Encoding::F16,
                Some("f32") => Encoding::F32,
                Some(other) => {
                    return Err(format!("expected q8_0, f16 or f32, found {other}").into());
                }
            },
        };
        println!("{}", item_tokens::measure(&size, &options)?);
        return Ok(());
    }
    let dataset = Dataset::load(Path::new(&value("--data").ok_or("--data is missing")?))?;
    let catalogue = Arc::new(dataset.catalogue);
    let gguf = value("--gguf").ok_or("--gguf is missing")?;
    let start = std::time::Instant::now();
    let model = Model::load(Path::new(&gguf), catalogue.clone(), &options)?;
    let mut generator = model.titles()?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;

    let queries = number("--queries", 20)?;
    let step = (dataset.sequences.len() / queries).max(1);
    let (mut total, mut prompt, mut decode) = (Vec::new(), Vec::new(), Vec::new());
    let (mut prompt_tokens, mut decoded_tokens, mut first) = (0, 0, None);
    for sequence in dataset.sequences.iter().step_by(step).take(queries) {
        let mut history: Vec<ItemIndex> = Vec::new();
        for item in sequence.items.iter().rev().copied() {
            if history.len() < 10 && !history.contains(&item) {
                history.insert(0, item);
            }
        }
        let query = Query { history: &history, exclude: &[], only: None, added: None, k: 50 };
        let generation = generator.generate(&query)?;
        assert_eq!(generation.candidates.len(), 50.min(catalogue.len() - history.len()));
        if first.is_none() {
            first = Some((history.clone(), generation.clone()));
        }
        total.push(generation.prompt_ms + generation.decode_ms);
        prompt.push(generation.prompt_ms);
        decode.push(generation.decode_ms);
        prompt_tokens += generation.prompt_tokens;
        decoded_tokens += generation.decoded_tokens;
    }
    if arguments.iter().any(|a| a == "--show")
        && let Some((history, generation)) = first
    {
        for item in history {
            eprintln!("seen {}", catalogue.get(item).title);
        }
        for ranked in &generation.candidates {
            eprintln!("{:8.3} {}", ranked.logprob, catalogue.get(ranked.item).title);
        }
    }
    let rate = |tokens: usize, ms: &[f64]| tokens as f64 / ms.iter().sum::<f64>() * 1e3;
    let search = rate(decoded_tokens, &decode);
    let raw = generator.raw_decode_rate(options.width, 20)?;
    let line = serde_json::json!({
        "model": model.info().name,
        "threads": options.threads,
        "width": options.width,
        "queries": queries,
        "load_ms": load_ms.round(),
        "median_ms": tenths(median(&mut total)),
        "slowest_ms": total.last(),
        "median_prompt_ms": tenths(median(&mut prompt)),
        "median_decode_ms": tenths(median(&mut decode)),
        "prompt_tokens_mean": prompt_tokens / queries,
        "decoded_tokens_mean": decoded_tokens / queries,
        "prompt_tokens_per_s": rate(prompt_tokens, &prompt).round(),
        "decoded_tokens_per_s": search.round(),
        "llama_cpp_raw_tokens_per_s": raw.round(),
        "ratio_to_raw": (search / raw * 1e3).round() / 1e3,
        "peak_rss_mb": peak_rss_mb(),
    });
    println!("{line}");
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Peak resident memory of this process in MB, if the system reports it.
fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
