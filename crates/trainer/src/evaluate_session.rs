//! `tandem evaluate --protocol session`: live clicks through the device's own code.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use tandem_dataset::{Dataset, ItemIndex};
use tandem_evaluation::{SessionProtocol, SessionReport};
use tandem_model::{Device, Scorer};
use tandem_session::{RowStore, Settings};

use crate::{
    evaluate::{Evaluate, read_checkpoint},
    export::read_calibration,
    failure::BadInput,
    lists, write_atomically,
};

pub(crate) fn run(args: &Evaluate) -> Result<()> {
    let needed = |name: &str| BadInput(format!("--protocol session needs --{name}"));
    let dataset = Dataset::load(&args.data)?;
    let srm = args.srm.as_deref().ok_or_else(|| needed("srm"))?;
    let lists = args.lists.as_deref().ok_or_else(|| needed("lists (made by `tandem lists`)"))?;
    let lists = lists::load(lists, &dataset)?;
    let calibration = read_calibration(args.calibration.as_deref())?;
    let checkpoint = read_checkpoint(srm, &dataset)?;
    let scorer = Scorer::new(&checkpoint.config, &checkpoint.body, &Device::flex())?;
    let items = dataset.catalogue.items().iter().map(|item| item.id.clone());
    let rows = RowStore::whole(checkpoint.items, items)?;
    let settings = Settings {
        fusion: calibration.fusion,
        policy: calibration.policy,
        learning: calibration.learning,
        base: String::new(),
        catalogue_hash: dataset.catalogue.hash().to_owned(),
    };
    let protocol = SessionProtocol {
        clicks: args.clicks,
        skip: args.skip,
        ms_between_clicks: 20_000.0,
        learn: !args.no_learning,
    };
    let users: BTreeSet<usize> = lists.keys().map(|(user, _)| *user).collect();
    let users: Vec<usize> = users.into_iter().collect();
    // A list is looked up by what was seen: prefixes of different users differ.
    let by_items = |items: &[ItemIndex]| -> Result<Vec<(ItemIndex, f32)>, BadInput> {
        let user = users.iter().find(|&&user| dataset.sequences[user].items.starts_with(items));
        let list = user.and_then(|&user| lists.get(&(user, items.len())));
        // After a session's last click a list is asked for that nobody sees.
        Ok(list.cloned().unwrap_or_default())
    };
    let report = protocol.run(&dataset, &users, (&scorer, &rows, &settings), by_items)?;
    println!("{}", summary(&report));
    if let Some(path) = &args.json {
        let json = serde_json::to_vec(&report)?;
        write_atomically(path, &json)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn summary(report: &SessionReport) -> String {
    let losses = report.losses.map_or_else(String::new, |(before, after)| {
        format!(", learning loss {before:.3} → {after:.3}")
    });
    format!(
        "{} sessions of {} clicks: NDCG@10 {:.4}, HR@10 {:.4}, {:.2} calls a session{losses}",
        report.sessions,
        report.records.len() / report.sessions.max(1),
        report.ndcg10,
        report.hr10,
        report.calls,
    )
}
