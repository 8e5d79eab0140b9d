use std::{sync::Arc, time::Instant};

use serde_json::{Value, json};
use tandem_dataset::{Catalogue, Item, ItemIndex};
use tandem_generator::{
    Generator, GeneratorError, LoadOptions, Model, Query,
    item_tokens::{DecoderConfig, Encoding},
    llama::ItemTokenGenerator,
    testing::random_item_tokens,
};

/// Number of items in a history.
const LENGTH: usize = 50;
/// Number of candidates in a list.
const CANDIDATES: usize = 100;

/// What is measured.
pub(crate) struct Size {
    pub(crate) items: usize,
    pub(crate) dims: usize,
    pub(crate) blocks: usize,
    pub(crate) rounds: usize,
    pub(crate) encoding: Encoding,
}

/// Times the lists of a decoder with random weights and `llama_decode` of the same batch,
/// alternating for every history so that both run under the same machine load.
pub(crate) fn measure(
    size: &Size,
    options: &LoadOptions,
) -> Result<Value, Box<dyn std::error::Error>> {
    let items = (0..size.items).map(|i| Item::untitled(format!("i{i}").as_str().into()));
    let catalogue = Arc::new(Catalogue::new(items.collect())?);
    let shape = DecoderConfig {
        dims: size.dims,
        blocks: size.blocks,
        heads: size.dims / 32,
        kv_heads: size.dims / 32,
        feed_forward: (size.dims * 8).div_ceil(3).next_multiple_of(32),
        max_length: LENGTH,
        rope_base: 10_000.0,
        norm_epsilon: 1e-5,
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("items.gguf");
    random_item_tokens(&catalogue, shape, true, 7).write(&path, size.encoding)?;
    let model = Model::load(&path, catalogue, options)?;
    let mut generator = model.item_tokens()?;

    let histories: Vec<Vec<ItemIndex>> =
        (0..size.rounds).map(|round| history(round, size.items)).collect();
    let (mut raw, mut whole, mut select) = (Vec::new(), Vec::new(), Vec::new());
    for history in &histories {
        raw.push(generator.raw_decode_ms(history)?);
        generator.clear_cache();
        let start = Instant::now();
        let list = generator.generate(&Query {
            history,
            exclude: &[],
            only: None,
            added: None,
            k: CANDIDATES,
        })?;
        whole.push(milliseconds(start));
        select.push(list.decode_ms);
        assert_eq!((list.candidates.len(), list.prompt_tokens), (CANDIDATES, LENGTH));
    }
    let mut grown = Vec::new();
    for history in &histories {
        generator.generate(&Query {
            history: &history[1..],
            exclude: &[],
            only: None,
            added: None,
            k: CANDIDATES,
        })?;
        let reordered: Vec<ItemIndex> = history[1..].iter().chain(&history[..1]).copied().collect();
        let start = Instant::now();
        let query =
            Query { history: &reordered, exclude: &[], only: None, added: None, k: CANDIDATES };
        let list = generator.generate(&query)?;
        grown.push(milliseconds(start));
        assert_eq!(list.prompt_tokens, 1);
    }
    let (raw, whole) = (crate::median(&mut raw), crate::median(&mut whole));
    Ok(json!({
        "engine": "item-tokens",
        "items": size.items,
        "dims": size.dims,
        "blocks": size.blocks,
        "encoding": format!("{:?}", size.encoding),
        "threads": generator.threads(),
        "sequences": generator.sequences(),
        "history": LENGTH,
        "candidates": CANDIDATES,
        "rounds": size.rounds,
        "median_ms": rounded(whole),
        "median_select_ms": rounded(crate::median(&mut select)),
        "median_one_more_item_ms": rounded(crate::median(&mut grown)),
        "llama_cpp_raw_ms": rounded(raw),
        "ratio_to_raw": rounded(raw / whole),
        "median_ms_a_list_together": batched(&mut generator, &histories)?,
        "peak_rss_mb": crate::peak_rss_mb(),
    }))
}

/// Milliseconds per list by batch size; the batch sizes alternate on the same 64 histories.
fn batched(
    generator: &mut ItemTokenGenerator<'_>,
    histories: &[Vec<ItemIndex>],
) -> Result<Value, GeneratorError> {
    let widths: Vec<usize> =
        [1, 4, 16, 64].into_iter().filter(|&width| width <= generator.sequences()).collect();
    let mut times = vec![Vec::new(); widths.len()];
    for block in histories.chunks_exact(64) {
        let queries: Vec<Query<'_>> = block
            .iter()
            .map(|history| Query { history, exclude: &[], only: None, added: None, k: CANDIDATES })
            .collect();
        for (&width, times) in widths.iter().zip(&mut times) {
            generator.clear_cache();
            let start = Instant::now();
            for group in queries.chunks(width) {
                for answer in generator.generate_batch(group) {
                    assert_eq!(answer?.candidates.len(), CANDIDATES);
                }
            }
            times.push(milliseconds(start) / 64.0);
        }
    }
    let medians = widths
        .iter()
        .zip(&mut times)
        .map(|(width, times)| (width.to_string(), json!(rounded(crate::median(times)))));
    Ok(Value::Object(medians.collect()))
}

/// A history of distinct items, different for every round.
fn history(round: usize, items: usize) -> Vec<ItemIndex> {
    (0..LENGTH).map(|i| ItemIndex(((round * 7919 + i * 31) % items) as u32)).collect()
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
