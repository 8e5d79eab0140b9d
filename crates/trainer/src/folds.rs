//! `tandem folds`: datasets for cross-fitting, each without a part of the users.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use tandem_dataset::Dataset;

use crate::{
    failure::BadInput,
    values::{BASIC, FILES},
};

/// Options of `tandem folds`.
#[derive(Args, Debug)]
pub(crate) struct Folds {
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Folder of the datasets `without-1`, `without-2` and so on: each has the whole catalogue and
    /// the users of the other folds. Existing datasets are replaced.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    out: PathBuf,
    /// Number of folds.
    #[arg(long = "folds", value_name = "N", default_value_t = 2, help_heading = BASIC)]
    #[arg(value_parser = clap::value_parser!(u16).range(2..))]
    count: u16,
}

pub(crate) fn run(args: &Folds) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let (folds, users) = (usize::from(args.count), dataset.sequences.len());
    if users < folds {
        let shown = args.data.display();
        let text = format!("{shown}: expected a user for each of {folds} folds, found {users}");
        bail!(BadInput(text));
    }
    for fold in 0..folds {
        let name = format!("without-{}", fold + 1);
        let others = without(&dataset, fold, folds, &name)?;
        let folder: PathBuf = args.out.join(name);
        others.save(&folder)?;
        report(&folder, &others, users);
    }
    Ok(())
}

/// The dataset without the users of a fold. Folds take the users in turn, so that a dataset that
/// is sorted by anything else gives equal folds.
fn without(dataset: &Dataset, fold: usize, folds: usize, name: &str) -> Result<Dataset> {
    let others = dataset.sequences.iter().enumerate().filter(|(at, _)| at % folds != fold);
    let others = others.map(|(_, sequence)| sequence.clone()).collect();
    let name = format!("{}-{name}", dataset.name);
    // Counts the catalogue anew: popularity must not know the fold either.
    let mut out = Dataset::new(name, dataset.catalogue.clone(), others, dataset.notice.clone())?;
    out.repeats = dataset.repeats;
    Ok(out)
}

fn report(folder: &Path, others: &Dataset, users: usize) {
    println!(
        "{}: {} of {users} users, {} interactions",
        folder.display(),
        others.sequences.len(),
        others.interactions()
    );
}
