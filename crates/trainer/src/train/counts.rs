//! `tandem train counts`: the table of co-occurrence counts.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tandem_dataset::{
    DatasetFolder,
    counts::{CountOptions, CountTable},
};

use crate::{
    terminal::note,
    values::{self, ADVANCED, BASIC, FILES},
};

/// Options of `tandem train counts`.
#[derive(Args, Debug)]
pub(crate) struct TrainCounts {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// File of the counts (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    out: PathBuf,
    /// Newest items of each user that are not counted.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = BASIC)]
    hold_out: usize,
    #[command(flatten)]
    counts: CountArgs,
}

/// How counts forget and how many are kept.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CountArgs {
    /// Days after which an interaction counts half [default: all count alike].
    #[arg(long, value_name = "DAYS", value_parser = values::above_zero, help_heading = ADVANCED)]
    half_life: Option<f64>,
    /// Number of other items kept for each item.
    #[arg(long, value_name = "N", default_value_t = CountOptions::default().max_neighbours)]
    #[arg(value_parser = values::positive, help_heading = ADVANCED)]
    neighbours: usize,
}

impl CountArgs {
    pub(crate) fn options(self) -> CountOptions {
        CountOptions {
            half_life: self.half_life.map(|days| days * 86_400.0),
            max_neighbours: self.neighbours,
        }
    }
}

pub(crate) fn run(args: &TrainCounts) -> Result<()> {
    // The log may be larger than the memory.
    let folder = DatasetFolder::open(&args.data)?;
    let table = CountTable::of_folder(&folder, args.hold_out, args.counts.options())?;
    table.write(&folder.catalogue, &args.out)?;
    println!("{}: {} pairs of {} items", args.out.display(), table.pairs(), table.items());
    if table.pairs() == 0 {
        note(format_args!(
            "no item was chosen near another one, so counts cannot rank; import more data{}",
            if args.hold_out > 0 { " or give a smaller --hold-out" } else { "" }
        ));
    }
    Ok(())
}
