//! `tandem import`: foreign logs to a dataset folder.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use tandem_dataset::{
    Dataset,
    readers::{self, Provenance},
};

/// The formats of `tandem import`.
#[derive(Subcommand, Debug)]
pub(crate) enum Import {
    /// `RecBole`'s atomic files: tab-separated with typed headers.
    Recbole {
        /// The interactions (.inter).
        #[arg(long)]
        inter: PathBuf,
        /// The catalogue (.item).
        #[arg(long)]
        item: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// A folder with sequences.txt (`user item item …`, oldest first) and, if there are
    /// any, times.txt and items.tsv.
    Sequences {
        /// The folder.
        #[arg(long)]
        dir: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Comma-separated values with a header: user, item and, if known, timestamp.
    Csv {
        #[command(flatten)]
        files: LogFiles,
        #[command(flatten)]
        common: Common,
    },
    /// One JSON object a line: user, item and, if known, timestamp.
    Jsonl {
        #[command(flatten)]
        files: LogFiles,
        #[command(flatten)]
        common: Common,
    },
}

/// A log and, perhaps, its catalogue.
#[derive(Args, Debug)]
pub(crate) struct LogFiles {
    /// The interactions.
    #[arg(long)]
    log: PathBuf,
    /// The items: item, title, year, genres.
    #[arg(long)]
    catalogue: Option<PathBuf>,
}

/// What every import needs.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Short name of the dataset.
    #[arg(long)]
    name: String,
    /// Citation and terms of use, shown wherever the data is used.
    #[arg(long)]
    notice: Option<String>,
    /// The folder to write; an older dataset there is replaced.
    #[arg(long)]
    out: PathBuf,
}

impl Common {
    fn provenance(&self) -> Provenance {
        Provenance { name: self.name.clone(), notice: self.notice.clone() }
    }
}

pub(crate) fn run(import: &Import) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message("reading");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let (dataset, common) = read(import)?;
    spinner.set_message("writing");
    dataset.save(&common.out)?;
    spinner.finish_and_clear();
    println!(
        "{}: {} users, {} items, {} interactions in {}",
        dataset.name,
        dataset.sequences.len(),
        dataset.catalogue.len(),
        dataset.interactions(),
        common.out.display()
    );
    Ok(())
}

fn read(import: &Import) -> Result<(Dataset, &Common)> {
    Ok(match import {
        Import::Recbole { inter, item, common } => {
            (readers::recbole(inter, item.as_deref(), common.provenance())?, common)
        }
        Import::Sequences { dir, common } => {
            (readers::sequences(dir, common.provenance())?, common)
        }
        Import::Csv { files: LogFiles { log, catalogue }, common } => {
            (readers::csv(log, catalogue.as_deref(), common.provenance())?, common)
        }
        Import::Jsonl { files: LogFiles { log, catalogue }, common } => {
            (readers::jsonl(log, catalogue.as_deref(), common.provenance())?, common)
        }
    })
}
