//! How often an item that no model was trained on is found when it is chosen next, beside items
//! that the models know.
//!
//! ```sh
//! cargo run --release -p tandem-generator --features llama --example new_items -- \
//!     data/beauty data/beauty-90 beauty-90.gguf signals-90 beauty-text.safetensors test
//! ```
//!
//! The first dataset has all items, the second one was made from it by the example
//! `hold_out_items` of `tandem-dataset`. Model and signals are of the second dataset, the text
//! vectors (`tandem embed`) of the first. The items that the second one lacks are added by their
//! texts, as the server adds items. Each user's newest item (`test`) or the one before
//! (`validation`) is the target, what came before is the history, and all items compete.

use std::{error::Error, path::Path, sync::Arc};

use tandem_dataset::{Dataset, ItemIndex, text_vectors::TextVectors};
use tandem_generator::{
    AddedItems, Generator, LoadOptions, Model, Query,
    added_items::{AddedItem, NeighbourOptions},
    ranking_signals::{RankingSignals, TEXT_FILE},
};

const CUTOFFS: [usize; 2] = [10, 50];

/// Hits of one group of targets.
#[derive(Default)]
struct Group {
    targets: usize,
    hits: [usize; CUTOFFS.len()],
}

impl Group {
    fn count(&mut self, rank: Option<usize>) {
        self.targets += 1;
        for (hits, cutoff) in self.hits.iter_mut().zip(CUTOFFS) {
            *hits += usize::from(rank.is_some_and(|rank| rank < cutoff));
        }
    }

    fn print(&self, name: &str) {
        let share = |hits: usize| hits as f64 / self.targets.max(1) as f64;
        let [ten, fifty] = self.hits.map(share);
        println!("{name}: {} targets, HR@10 {ten:.4}, HR@50 {fifty:.4}", self.targets);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [full, known, gguf, signals, text, part, others @ ..] = arguments.as_slice() else {
        let expected = "expected DATA KNOWN_DATA GGUF SIGNALS TEXT test|validation [USERS [NEIGHBOURS SCALE SPREAD]]";
        return Err(expected.into());
    };
    let users = others.first().map_or(Ok(usize::MAX), |users| users.parse())?;
    let options = match others {
        [_, number, scale, spread] => NeighbourOptions {
            number: number.parse()?,
            scale: scale.parse()?,
            spread: spread.parse()?,
        },
        _ => NeighbourOptions::default(),
    };
    let newer = match part.as_str() {
        "test" => 0,
        "validation" => 1,
        other => return Err(format!("expected test or validation, found {other}").into()),
    };
    let full = Dataset::load(Path::new(full))?;
    let catalogue = Arc::new(Dataset::load_catalogue(Path::new(known))?);
    let model = Model::load(Path::new(gguf), Arc::clone(&catalogue), &LoadOptions::default())?;
    let folder = Path::new(signals);
    let signals = Arc::new(RankingSignals::read(folder, &catalogue)?);
    let model = model.with_signals(Arc::clone(&signals))?;
    let vectors = TextVectors::read(&folder.join(TEXT_FILE))?;
    let of_all = TextVectors::read(Path::new(text))?;
    of_all.check(&full.catalogue, Path::new(text))?;
    let of_all = (of_all.dims(), of_all.values());
    let space = vectors.space();
    let table = signals.text().ok_or("the signals have no text")?;

    let mut added = AddedItems::new(&catalogue);
    // Position of each item of the full catalogue.
    let mut positions = Vec::with_capacity(full.catalogue.len());
    for (item, vector) in full.catalogue.items().iter().zip(of_all.1.chunks_exact(of_all.0)) {
        positions.push(catalogue.index_of(&item.id).unwrap_or_else(|| {
            let text = space.of_model(vector).and_then(|vector| table.added(&vector, options));
            let position = added.push();
            added.set(position, Some(Arc::new(AddedItem { item: item.clone(), text })));
            position
        }));
    }
    let mut generator = model.item_tokens()?;
    let [mut known_alone, mut known_beside, mut new] = [0; 3].map(|_| Group::default());
    let mut on_lists = 0;
    for sequence in full.sequences.iter().take(users) {
        let items: Vec<ItemIndex> =
            sequence.items.iter().map(|item| positions[item.position()]).collect();
        let Some(at) = items.len().checked_sub(newer + 1).filter(|at| *at > 0) else { continue };
        let mut history: Vec<ItemIndex> = Vec::with_capacity(at);
        for item in &items[..at] {
            history.retain(|earlier| earlier != item);
            history.push(*item);
        }
        let (target, k) = (items[at], CUTOFFS[1]);
        let query = Query { history: &history, exclude: &[], only: None, added: Some(&added), k };
        let list = generator.generate(&query)?.candidates;
        let rank = list.iter().position(|ranked| ranked.item == target);
        on_lists += list.iter().filter(|it| it.item.position() >= catalogue.len()).count();
        if target.position() >= catalogue.len() {
            new.count(rank);
            continue;
        }
        known_beside.count(rank);
        let known: Vec<ItemIndex> =
            history.iter().copied().filter(|item| item.position() < catalogue.len()).collect();
        let query = Query { history: &known, added: None, ..query };
        let list = generator.generate(&query)?.candidates;
        known_alone.count(list.iter().position(|ranked| ranked.item == target));
    }
    known_alone.print("known items, no new ones in the catalogue");
    known_beside.print("known items, beside the new ones");
    new.print("new items");
    let places = (known_beside.targets + new.targets) * CUTOFFS[1];
    let share = added.len() as f64 / added.positions() as f64;
    println!(
        "{} new of {} items ({share:.3}); share of the places on lists {:.3}",
        added.len(),
        added.positions(),
        on_lists as f64 / places.max(1) as f64
    );
    Ok(())
}
