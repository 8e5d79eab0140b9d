//! `tandem forget`: removes a user from event logs and datasets.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::{
    forget_files::{remove_from_dataset, remove_from_log},
    values::FILES,
};

/// Options of `tandem forget`.
#[derive(Args, Debug)]
pub(crate) struct Forget {
    /// Name of the user in the log: a site's own id, or the name that the visitor's device shows.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
    /// Folder of a recommender (`tandem quickstart`): the event logs that it was trained on, its
    /// datasets, and all later trainings.
    #[cfg(feature = "llama")]
    #[arg(long, value_name = "FOLDER", required_unless_present_any = ["events", "data"])]
    #[arg(help_heading = FILES)]
    out: Option<PathBuf>,
    /// Event logs of a server: folders, or files that were moved out of one.
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = FILES)]
    events: Vec<PathBuf>,
    /// Dataset folders (`tandem import`).
    #[arg(long, value_name = "FOLDER", num_args = 1.., help_heading = FILES)]
    data: Vec<PathBuf>,
}

pub(crate) fn run(args: &Forget) -> Result<()> {
    // Names are stored without blanks around them.
    let name = args.name.trim();
    let mut found = false;
    for path in &args.events {
        found |= remove_events(path, name)?;
    }
    for folder in &args.data {
        let is_here = remove_from_dataset(folder, name)?;
        println!("{}: {}", folder.display(), if is_here { "removed" } else { "not found" });
        found |= is_here;
    }
    #[cfg(feature = "llama")]
    if let Some(out) = &args.out {
        found |= from_recommender(out, name)?;
    }
    if !found {
        crate::terminal::note(format_args!(
            "warning: no user {name:?} was found; check the name, capitals count"
        ));
    }
    Ok(())
}

/// Removes the user from an event log and says so. Returns whether the user was there.
fn remove_events(log: &Path, name: &str) -> Result<bool> {
    let events = remove_from_log(log, name)?;
    println!("{}: {events} event{} removed", log.display(), if events == 1 { "" } else { "s" });
    Ok(events > 0)
}

#[cfg(feature = "llama")]
fn from_recommender(out: &Path, name: &str) -> Result<bool> {
    use tandem_dataset::{event_log, input_files};

    use crate::pipeline;

    let report = pipeline::forget(out, name)?;
    let mut found = report.releases > 0 || report.work;
    for path in &report.events {
        if path.is_dir() {
            found |= remove_events(path, name)?;
            continue;
        }
        // A file may have been deleted since.
        for file in input_files(std::slice::from_ref(path)).unwrap_or_default() {
            let shown = file.display();
            match event_log::is_event_log(&file) {
                Ok(true) => found |= remove_events(&file, name)?,
                Ok(false) => {
                    println!("{shown}: unchanged; later trainings leave the user's rows out");
                }
                Err(error) => println!("{shown}: not read ({error})"),
            }
        }
    }
    let releases = report.releases;
    let plural = if releases == 1 { "" } else { "s" };
    println!("{}: removed from the data of {releases} release{plural}", out.display());
    if report.work {
        println!("{}: intermediate files deleted", out.join("work").display());
    }
    if !found {
        return Ok(false);
    }
    println!(
        "the models in use keep what they learnt: `tandem retrain --out {}` replaces them, `tandem quickstart` with another --out trains new ones from the beginning",
        out.display()
    );
    Ok(true)
}
