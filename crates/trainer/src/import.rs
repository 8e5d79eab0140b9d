//! `tandem import`: converts logs to a dataset folder.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use tandem_dataset::{
    Dataset,
    readers::{self, Provenance},
};

use crate::values::{BASIC, FILES};

/// Input formats.
#[derive(Subcommand, Debug)]
pub(crate) enum Import {
    /// `RecBole`'s atomic files: tab-separated with typed headers.
    Recbole {
        /// Interactions (.inter).
        #[arg(long, value_name = "FILE", help_heading = FILES)]
        inter: PathBuf,
        /// Catalogue (.item).
        #[arg(long, value_name = "FILE", help_heading = FILES)]
        item: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// A folder with sequences.txt (`user item item …`, oldest first) and optionally times.txt
    /// and items.tsv.
    Sequences {
        /// Input folder.
        #[arg(long, value_name = "FOLDER", help_heading = FILES)]
        dir: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// Comma-separated values with a header: user, item, optionally timestamp.
    Csv {
        #[command(flatten)]
        files: LogFiles,
        #[command(flatten)]
        common: Common,
    },
    /// One JSON object per line: user, item, optionally timestamp.
    Jsonl {
        #[command(flatten)]
        files: LogFiles,
        #[command(flatten)]
        common: Common,
    },
}

/// A log and optionally its catalogue.
#[derive(Args, Debug)]
pub(crate) struct LogFiles {
    /// Interactions.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    log: PathBuf,
    /// Catalogue with the columns item, title, year, genres.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    catalogue: Option<PathBuf>,
}

/// Options of all formats.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Short name of the dataset.
    #[arg(long, help_heading = BASIC)]
    name: String,
    /// Citation and terms of use, shown by the demo.
    #[arg(long, value_name = "TEXT", help_heading = BASIC)]
    notice: Option<String>,
    /// Dataset folder to write; an existing dataset is replaced.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
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
