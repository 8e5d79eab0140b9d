//! Writes a dataset without a share of its items, to measure items that no model was trained on.
//!
//! ```sh
//! cargo run --release -p tandem-dataset --example hold_out_items -- data/beauty data/beauty-90 0.1 7
//! ```
//!
//! An item is held out if the hash of seed and id is below the share. Sequences lose their
//! interactions with it.

use std::{error::Error, path::Path};

use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence, text_vectors::text_hash};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, out, share, seed] = arguments.as_slice() else {
        return Err("expected DATA OUT SHARE SEED".into());
    };
    let (share, full) = (share.parse::<f64>()?, Dataset::load(Path::new(data))?);
    let is_held_out = |item: &Item| {
        let hash = text_hash(&format!("{seed} {}", item.id));
        let number = u32::from_str_radix(&hash[..8], 16).unwrap_or(u32::MAX);
        f64::from(number) < share * f64::from(u32::MAX)
    };
    let mut positions = Vec::with_capacity(full.catalogue.len());
    let mut kept: Vec<Item> = Vec::new();
    for item in full.catalogue.items() {
        let is_kept = !is_held_out(item);
        positions.push(is_kept.then_some(ItemIndex(kept.len() as u32)));
        kept.extend(is_kept.then(|| item.clone()));
    }
    let mut sequences = Vec::with_capacity(full.sequences.len());
    for Sequence { user, items, times } in full.sequences {
        let known: Vec<(usize, ItemIndex)> = items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| Some((at, positions[item.position()]?)))
            .collect();
        if known.is_empty() {
            continue;
        }
        let times = times.map(|times| known.iter().map(|(at, _)| times[*at]).collect());
        let items = known.into_iter().map(|(_, item)| item).collect();
        sequences.push(Sequence { user, items, times });
    }
    let (name, all) = (format!("{}-without-new", full.name), positions.len());
    let (left, users) = (kept.len(), sequences.len());
    let mut reduced = Dataset::new(&name, Catalogue::new(kept)?, sequences, full.notice)?;
    reduced.repeats = full.repeats;
    reduced.save(Path::new(out))?;
    println!("{out}: {left} of {all} items, {users} users");
    Ok(())
}
