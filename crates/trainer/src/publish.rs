//! `tandem publish`: sends a release to a server and puts it in use there.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tandem_release_client::{Activated, Archive, Client, current, key};

use crate::values::{BASIC, FILES};

/// Options of `tandem publish`.
#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// Folder of the recommender, written by `tandem quickstart`.
    #[arg(long, value_name = "FOLDER", default_value = "recommender", help_heading = FILES)]
    out: PathBuf,
    /// File with an admin key of the server [default: the variable `TANDEM_KEY`].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    key_file: Option<PathBuf>,
    /// Address of the server, which runs with --release, for example `https://rec.example.com`.
    #[arg(long, value_name = "URL", help_heading = BASIC)]
    to: String,
    /// Name of the release [default: the one that the file `current` of the folder names].
    #[arg(long, value_name = "NAME", help_heading = BASIC)]
    release: Option<String>,
    /// Send the release without putting it in use.
    #[arg(long, help_heading = BASIC)]
    no_activate: bool,
}

pub(crate) fn run(args: &Publish) -> Result<()> {
    let client = Client::new(&args.to, key(args.key_file.as_deref())?)?;
    if client.shows_the_key() {
        crate::terminal::note(format_args!(
            "warning: {} is not encrypted: others on the way can read the key",
            args.to
        ));
    }
    let name = match &args.release {
        Some(name) => name.clone(),
        None => current(&args.out)?,
    };
    let archive = Archive::of(&args.out, &name)?;
    if client.has(&name)? {
        println!("release {name} is on the server already");
    } else {
        let bar = ProgressBar::new(archive.bytes());
        bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {eta}")?);
        let sent = client.upload(&name, archive.bytes(), &mut bar.wrap_read(archive.reader()));
        bar.finish_and_clear();
        sent?;
        println!("release {name} is on the server");
    }
    if args.no_activate {
        return Ok(());
    }
    match client.activate(&name)? {
        Activated { previous: Some(previous), .. } => {
            println!("release {name} is in use on {}, in place of {previous}", args.to);
        }
        Activated { previous: None, .. } => println!("release {name} is in use on {}", args.to),
    }
    Ok(())
}
