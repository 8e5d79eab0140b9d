//! `tandem import`: converts logs and catalogues to a dataset folder.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;
use tandem_dataset::{ImportOptions, import};

use crate::{
    failure::BadInput,
    large_log,
    log_options::LogOptions,
    values::{self, BASIC, FILES},
};

/// Heading of the options of logs that are larger than memory.
const LARGE: &str = "Logs larger than memory (builds with the feature datafusion)";

/// Options of `tandem import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Interactions: files, patterns such as 'log/*.csv', the folder of a server's --events log,
    /// or `-` for standard input. CSV, TSV, JSON, Parquet or `RecBole` files, or a folder with
    /// sequences.txt; also compressed. With --memory or --cluster also objects: `s3://`, `gs://`,
    /// `az://` and `file://`.
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., help_heading = FILES)]
    events: Vec<PathBuf>,
    /// Items with title, year and categories, in any of these formats.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = FILES)]
    catalogue: Vec<PathBuf>,
    /// Dataset folder to write; an existing dataset is replaced.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    out: PathBuf,
    /// Short name of the dataset [default: the name of the folder].
    #[arg(long, help_heading = BASIC)]
    name: Option<String>,
    /// Citation and terms of use, shown by the demo.
    #[arg(long, value_name = "TEXT", help_heading = BASIC)]
    notice: Option<String>,
    /// Sort outside of memory, and use about this much: 4GB, 512MB.
    #[arg(long, value_name = "SIZE", value_parser = values::bytes, conflicts_with = "cluster")]
    #[arg(help_heading = LARGE)]
    memory: Option<u64>,
    /// Read and sort on a Ballista cluster: df://HOST:PORT, started with `tandem cluster`.
    #[arg(long, value_name = "URL", help_heading = LARGE)]
    cluster: Option<String>,
    #[command(flatten)]
    log: LogOptions,
}

impl Import {
    fn options(&self) -> ImportOptions {
        ImportOptions {
            notice: self.notice.clone(),
            catalogue: self.catalogue.clone(),
            ..self.log.import_options(self.name(), self.events.clone())
        }
    }

    fn name(&self) -> String {
        let folder = self.out.file_name().map(|name| name.to_string_lossy().into_owned());
        self.name.clone().or(folder).unwrap_or_else(|| "dataset".to_owned())
    }
}

pub(crate) fn run(args: &Import) -> Result<()> {
    let spinner = ProgressBar::new_spinner().with_message("reading");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let options = args.options();
    let summary = if args.memory.is_some() || args.cluster.is_some() {
        large_log::import(&options, args.memory, args.cluster.as_deref(), &args.out)?
    } else {
        check_files(&args.events)?;
        let imported = import(&options)?;
        spinner.set_message("writing");
        imported.save(&args.out)?;
        imported.summary
    };
    spinner.finish_and_clear();
    println!("{summary} in {}", args.out.display());
    Ok(())
}

/// Refuses the objects of a store, which an import in memory would look for on the disk.
fn check_files(events: &[PathBuf]) -> Result<()> {
    let is_object = |path: &&PathBuf| {
        let text = path.to_string_lossy();
        ["s3://", "gs://", "az://"].iter().any(|scheme| text.starts_with(scheme))
    };
    match events.iter().find(is_object) {
        None => Ok(()),
        Some(object) => Err(BadInput(format!(
            "{}: expected a file, found an object of a store; give --memory or --cluster as well",
            object.display()
        ))
        .into()),
    }
}
