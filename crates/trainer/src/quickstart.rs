//! `tandem quickstart`: from log files to a recommender in one command.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    log_options::LogOptions,
    values::{self, BASIC, FILES},
};

/// Options of `tandem quickstart`.
#[derive(Args, Debug)]
#[cfg_attr(not(feature = "llama"), allow(dead_code, reason = "it needs a language model"))]
pub(crate) struct Quickstart {
    /// Interactions: files, patterns such as 'log/*.csv', or the folder of a server's --events
    /// log. CSV, TSV, JSON, Parquet or `RecBole` files; also compressed.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true, help_heading = FILES)]
    events: Vec<PathBuf>,
    /// Items with title, year and categories, in any of these formats.
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = FILES)]
    catalogue: Vec<PathBuf>,
    /// Embedding model (.gguf) for the texts of the items, such as all-MiniLM-L6-v2: both models
    /// and the ranking use them [default: no texts].
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    embedder: Option<PathBuf>,
    /// Folder of the recommender. The same command continues or renews what is there.
    #[arg(long, value_name = "FOLDER", default_value = "recommender", help_heading = FILES)]
    out: PathBuf,
    /// Minutes of training, for both models together [default: 6 for each 100,000 interactions,
    /// from 0.4 to 60].
    #[arg(long, value_parser = values::minutes, allow_negative_numbers = true)]
    #[arg(help_heading = BASIC)]
    minutes: Option<f64>,
    /// Start `cloud-server` at the end.
    #[arg(long, help_heading = BASIC)]
    serve: bool,
    /// Port of the server.
    #[arg(long, value_name = "N", default_value_t = 8080, help_heading = BASIC)]
    port: u16,
    #[command(flatten)]
    log: LogOptions,
}

#[cfg(not(feature = "llama"))]
pub(crate) fn run(_: &Quickstart) -> Result<()> {
    Err(crate::failure::no_language_model().into())
}

#[cfg(feature = "llama")]
pub(crate) fn run(args: &Quickstart) -> Result<()> {
    use std::time::Instant;

    use crate::{
        memory,
        pipeline::{self, Inputs, Job, Page, Release},
        server::Server,
    };

    let started = Instant::now();
    // Before training, because what is missing can be installed now.
    let server = args.serve.then(|| Server::find(args.port)).transpose()?;
    let inputs = Inputs::new(&args.events, &args.catalogue, &args.log)?
        .with_embedder(args.embedder.as_deref())?;
    let lock = pipeline::claim(&args.out)?;
    let job = Job {
        out: &args.out,
        work: args.out.join("work/quickstart"),
        inputs: &inputs,
        minutes: args.minutes,
        start: None,
    };
    let mut trained = pipeline::train(&job, pipeline::import(&job)?)?;
    pipeline::publish(&job, &mut trained)?;
    inputs.record(&args.out)?;

    let release = Release::current(&args.out)?;
    print!(
        "{}",
        pipeline::page(&Page {
            read: &trained.read,
            measured: &trained.measured,
            out: &args.out.display().to_string(),
            release: release.as_ref().map_or("", Release::name),
            address: &format!("http://127.0.0.1:{}", args.port),
            serves: args.serve,
            has_texts: inputs.embedder().is_some(),
        })
    );
    println!("\n{:.0} s{}", started.elapsed().as_secs_f64(), memory::peak());
    // `tandem retrain` may use the folder while the server runs.
    drop(lock);
    server.map_or(Ok(()), |server| server.run(&args.out))
}
