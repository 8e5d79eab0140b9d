//! `tandem train srm`: the small model that re-ranks on the device.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use tandem_dataset::Dataset;
use tandem_model::{Body, Checkpoint, Device, training::Trainer};
use tandem_protocol::{ModelConfig, ModelKind};

use super::fit::{FitOptions, fit};
use crate::write_atomically;

/// Options of `tandem train srm`.
#[derive(Args, Debug)]
pub(crate) struct TrainSrm {
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    data: PathBuf,
    /// Where the trained model goes (a .safetensors file).
    #[arg(long)]
    out: PathBuf,
    /// Width of an item row.
    #[arg(long, default_value_t = 64)]
    dims: usize,
    /// Blocks of attention.
    #[arg(long, default_value_t = 2)]
    blocks: usize,
    /// Attention heads.
    #[arg(long, default_value_t = 2)]
    heads: usize,
    #[command(flatten)]
    fit: FitOptions,
}

pub(crate) fn run(args: &TrainSrm) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let config = ModelConfig {
        kind: ModelKind::Sasrec,
        dims: args.dims,
        blocks: args.blocks,
        heads: args.heads,
        max_length: args.fit.max_length,
    };
    let items = dataset.catalogue.len();
    let mut trainer = Trainer::new(
        |device| Body::new(&config, args.fit.dropout, device),
        (items, args.dims),
        args.fit.max_length,
        args.fit.training(),
        &Device::flex(),
    )?;
    eprintln!(
        "SASRec {} × {} blocks on {}: {} users, {items} items, {} interactions",
        args.dims,
        args.blocks,
        dataset.name,
        dataset.sequences.len(),
        dataset.interactions()
    );
    let best = fit(&mut trainer, &dataset, &args.fit, |trainer, epoch| {
        let checkpoint = Checkpoint {
            config: config.clone(),
            body: trainer.encoder().to_bytes(&HashMap::new())?,
            items: trainer.item_table()?,
            catalogue_hash: dataset.catalogue.hash().to_owned(),
            provenance: format!(
                "{}, independent training, loss {}, seed {}, epoch {}, validation NDCG@10 {:.4}",
                dataset.name, args.fit.loss, args.fit.seed, epoch.number, epoch.ndcg10
            ),
        };
        write_atomically(&args.out, &checkpoint.to_bytes()?)
            .with_context(|| format!("cannot write {}", args.out.display()))
    })?;
    println!(
        "{}: epoch {}, validation NDCG@10 {:.4}, HR@10 {:.4}",
        args.out.display(),
        best.number,
        best.ndcg10,
        best.hr10
    );
    Ok(())
}
