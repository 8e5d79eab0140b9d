//! `tandem extend`: adds new items to a trained language model of item tokens, by their texts.

use std::{collections::HashMap, path::PathBuf};

use anyhow::Result;
use clap::Args;
use tandem_dataset::{Catalogue, Dataset, text_vectors::TextVectors};
use tandem_generator::item_tokens::ItemTokenModel;
use tandem_protocol::ItemId;
use tandem_training::initial::Ridge;

use crate::{
    failure::BadInput,
    gguf_encoding::GgufEncoding,
    text_vectors::read_text_vectors,
    values::{ADVANCED, FILES},
};

/// Every `HELD`-th known item is held out to choose the penalty.
const HELD: usize = 10;
/// Candidate penalties, in units of the mean variance of the text vectors.
const PENALTIES: [f32; 5] = [0.001, 0.01, 0.1, 1.0, 10.0];

/// Options of `tandem extend`.
#[derive(Args, Debug)]
pub(crate) struct Extend {
    /// Model of `tandem train llm` (.gguf).
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    gguf: PathBuf,
    /// Dataset folder with the new catalogue; items missing from it are removed.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Text vectors of `tandem embed` for the new catalogue.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    text: PathBuf,
    /// File of the extended model (.gguf).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Encoding of the matrices in the GGUF file.
    #[arg(long, value_enum, default_value_t = GgufEncoding::Q8_0, help_heading = ADVANCED)]
    encoding: GgufEncoding,
}

pub(crate) fn run(args: &Extend) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let model = ItemTokenModel::read(&args.gguf)?;
    let vectors = read_text_vectors(&args.text, &dataset.catalogue)?;
    let known = model.item_ids.len();
    let (extended, added) = extend(&model, &dataset.catalogue, &Texts::of(&vectors))?;
    extended.write(&args.out, args.encoding.into())?;
    println!(
        "{}: {added} items added to {known}, {} in all",
        args.out.display(),
        extended.item_ids.len()
    );
    Ok(())
}

/// Text vectors, `[items, dims]`; zeros for an item without text.
struct Texts {
    values: Vec<f32>,
    dims: usize,
}

impl Texts {
    fn of(vectors: &TextVectors) -> Self {
        Self { values: vectors.values(), dims: vectors.dims() }
    }

    /// The vector of the item at a catalogue position.
    fn of_item(&self, at: usize) -> &[f32] {
        &self.values[at * self.dims..(at + 1) * self.dims]
    }

    fn has_text(&self, at: usize) -> bool {
        self.of_item(at).iter().any(|value| *value != 0.0)
    }
}

/// The model for `catalogue` and the number of added items. Known items keep their rows; rows
/// of new items are predicted from their texts. Items without a text get the mean row.
///
/// The regression from text vectors to rows is fitted on the items with interactions, each
/// weighted by their number, because rows of rare items are mostly noise.
fn extend(
    model: &ItemTokenModel,
    catalogue: &Catalogue,
    vectors: &Texts,
) -> Result<(ItemTokenModel, usize)> {
    let places: HashMap<&ItemId, usize> =
        model.item_ids.iter().enumerate().map(|(at, id)| (id, at)).collect();
    let items = catalogue.items();
    let old: Vec<Option<usize>> = items.iter().map(|item| places.get(&item.id).copied()).collect();
    let titled: Vec<usize> = (0..items.len())
        .filter(|&at| old[at].is_some() && vectors.has_text(at) && items[at].count > 0)
        .collect();
    if titled.len() < 2 * HELD {
        let text = format!(
            "expected at least {} items with a text and interactions that the model knows, found {}; give a model and a catalogue of the same shop, with texts",
            2 * HELD,
            titled.len()
        );
        return Err(BadInput(text).into());
    }
    let dims = model.shape.dims;
    let rows = |table: &[f32]| -> Vec<f32> {
        let (map, penalty) = fit(table, dims, &titled, &old, catalogue, vectors);
        let mean = map.mean();
        // Predicts all items in one product; rows of known items and of those without text are not used.
        let mut predicted = map.predict(&vectors.values, penalty);
        widen(&mut predicted, &mean, table, &old);
        let row = |at: usize| match old[at] {
            Some(old) => &table[old * dims..(old + 1) * dims],
            None if !vectors.has_text(at) => &mean,
            None => &predicted[at * dims..(at + 1) * dims],
        };
        (0..items.len()).flat_map(row).copied().collect()
    };
    let added = old.iter().filter(|old| old.is_none()).count();
    let mut provenance = model.provenance.clone();
    provenance.push(("extended".to_owned(), format!("{added} items by their texts")));
    let extended = ItemTokenModel {
        catalogue_hash: catalogue.hash().to_owned(),
        item_ids: items.iter().map(|item| item.id.clone()).collect(),
        token_embedding: rows(&model.token_embedding),
        output: model.output.as_deref().map(rows),
        provenance,
        ..model.clone()
    };
    Ok((extended, added))
}

/// Scales predictions to the spread of the known rows around `mean`. Regression shrinks them
/// towards the mean, and an item with a row near the mean is never recommended.
fn widen(predicted: &mut [f32], mean: &[f32], table: &[f32], old: &[Option<usize>]) {
    let dims = mean.len();
    let square = |row: &[f32]| row.iter().zip(mean).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let (mut known, mut found) = (0.0, 0.0);
    for (row, old) in predicted.chunks_exact(dims).zip(old) {
        if let Some(old) = old {
            known += square(&table[old * dims..(old + 1) * dims]);
            found += square(row);
        }
    }
    let factor = (known / found.max(f32::MIN_POSITIVE)).sqrt().max(1.0);
    for row in predicted.chunks_exact_mut(dims) {
        for (value, mean) in row.iter_mut().zip(mean) {
            *value = mean + (*value - mean) * factor;
        }
    }
}

/// The regression from text vectors to the rows of a table, and the penalty with the smallest
/// error on held-out items.
fn fit(
    table: &[f32],
    dims: usize,
    titled: &[usize],
    old: &[Option<usize>],
    catalogue: &Catalogue,
    vectors: &Texts,
) -> (Ridge, f32) {
    let gather = |of: &[usize]| -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let x = of.iter().flat_map(|&at| vectors.of_item(at)).copied().collect();
        let row = |at: usize| old[at].map_or(&[][..], |old| &table[old * dims..(old + 1) * dims]);
        let y = of.iter().flat_map(|&at| row(at)).copied().collect();
        (x, y, of.iter().map(|&at| catalogue.items()[at].count as f32).collect())
    };
    let learn = |of: &[usize]| {
        let (x, y, weights) = gather(of);
        Ridge::fit((&x, vectors.dims), (&y, dims), &weights)
    };
    let (held, others): (Vec<usize>, Vec<usize>) = titled.iter().partition(|at| *at % HELD == 0);
    let (x, y, weights) = gather(&held);
    let map = learn(&others);
    let error = |penalty: f32| -> f32 {
        let found = map.predict(&x, penalty);
        let rows = found.chunks(dims).zip(y.chunks(dims)).zip(&weights);
        let square =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        rows.map(|((found, row), weight)| weight * square(found, row)).sum()
    };
    let best = PENALTIES.into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b)));
    (learn(titled), best.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use tandem_dataset::Item;
    use tandem_generator::item_tokens::DecoderConfig;

    use super::*;

    /// 40 items whose row is a linear function of their text vector.
    #[test]
    fn new_items_get_rows_predicted_from_texts_and_known_items_keep_theirs() {
        let title = |at: usize| [at as f32 * 0.1, (at as f32).sin()];
        let row = |at: usize| [1.0 + 2.0 * title(at)[0], title(at)[1] - title(at)[0]];
        let item = |at: usize| Item {
            title: format!("title {at}"),
            count: 5,
            ..Item::untitled(at.to_string().as_str().into())
        };
        let old = Catalogue::new((0..40).map(item).collect()).unwrap();
        // One item is removed, one added with and one without a title.
        let mut items: Vec<Item> = (1..41).map(item).collect();
        items.push(Item::untitled("untitled".into()));
        let new = Catalogue::new(items).unwrap();
        let model = ItemTokenModel {
            name: "m".into(),
            catalogue_hash: old.hash().to_owned(),
            item_ids: old.items().iter().map(|item| item.id.clone()).collect(),
            provenance: Vec::new(),
            shape: DecoderConfig {
                dims: 2,
                blocks: 0,
                heads: 1,
                kv_heads: 1,
                feed_forward: 2,
                max_length: 5,
                rope_base: 1e4,
                norm_epsilon: 1e-5,
            },
            token_embedding: (0..40).flat_map(row).collect(),
            blocks: Vec::new(),
            output_norm: vec![1.0; 2],
            output: Some((0..40).flat_map(|at| row(at).map(|value| -value)).collect()),
        };
        let values = (1..41).flat_map(title).chain([0.0, 0.0]).collect();
        let vectors = Texts { dims: 2, values };
        let (extended, added) = extend(&model, &new, &vectors).unwrap();
        assert_eq!((added, extended.catalogue_hash.as_str()), (2, new.hash()));
        assert_eq!(extended.item_ids.len(), 41);
        assert_eq!(extended.token_embedding[..78], model.token_embedding[2..]);
        for (found, expected) in extended.token_embedding[78..80].iter().zip(row(40)) {
            assert!((found - expected).abs() < 0.02, "{found} {expected}");
        }
        let output = extended.output.unwrap();
        assert!(
            (output[78] + row(40)[0]).abs() < 0.02,
            "output rows have a regression of their own"
        );
        let mean: f32 = model.token_embedding[2..].chunks(2).map(|row| row[0]).sum::<f32>() / 39.0;
        assert!((extended.token_embedding[80] - mean).abs() < 1e-3);

        let strange = Catalogue::new((100..140).map(item).collect()).unwrap();
        let error = extend(&model, &strange, &vectors).unwrap_err().to_string();
        assert!(error.contains("that the model knows, found 0"), "{error}");
    }
}
