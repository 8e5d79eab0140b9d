//! `tandem publish`: sends a release to a server or to an object store and puts it in use there.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, builder::RangedU64ValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_release_client::{Activated, Archive, Client, current, key};
use tandem_release_store::{LocalFile, Published, ReleaseStore, StoreUrl};

use crate::{
    failure::BadInput,
    values::{BASIC, FILES},
};

/// Options of `tandem publish`.
#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// Folder of the recommender, written by `tandem quickstart`.
    #[arg(long, value_name = "FOLDER", default_value = "recommender", help_heading = FILES)]
    out: PathBuf,
    /// File with an admin key of the server [default: the variable `TANDEM_KEY`].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    key_file: Option<PathBuf>,
    /// Address of the server, which runs with --release, for example `https://rec.example.com`; or of
    /// an object store that servers follow: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
    /// `az://CONTAINER/PREFIX` or `file:///FOLDER`, with credentials in the environment.
    #[arg(long, value_name = "URL", help_heading = BASIC)]
    to: String,
    /// Name of the release [default: the one that the file `current` of the folder names].
    #[arg(long, value_name = "NAME", help_heading = BASIC)]
    release: Option<String>,
    /// Send the release without putting it in use.
    #[arg(long, help_heading = BASIC)]
    no_activate: bool,
    /// Remove all but this number of releases from the object store, the one in use included, 1 to
    /// 1000 [default: keep all].
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000), help_heading = BASIC)]
    keep: Option<usize>,
}

pub(crate) fn run(args: &Publish) -> Result<()> {
    let name = match &args.release {
        Some(name) => name.clone(),
        None => current(&args.out)?,
    };
    if StoreUrl::is_store(&args.to) { to_store(args, &name) } else { to_server(args, &name) }
}

fn to_server(args: &Publish, name: &str) -> Result<()> {
    if args.keep.is_some() {
        let text = "--keep is for object stores; delete releases of a server with `cloud-server releases delete`";
        return Err(BadInput(text.to_owned()).into());
    }
    let client = Client::new(&args.to, key(args.key_file.as_deref())?)?;
    if client.shows_the_key() {
        crate::terminal::note(format_args!(
            "warning: {} is not encrypted: others on the way can read the key",
            args.to
        ));
    }
    let archive = Archive::of(&args.out, name)?;
    if client.has(name)? {
        println!("release {name} is on the server already");
    } else {
        let bar = progress(archive.bytes())?;
        let sent = client.upload(name, archive.bytes(), &mut bar.wrap_read(archive.reader()));
        bar.finish_and_clear();
        sent?;
        println!("release {name} is on the server");
    }
    if args.no_activate {
        return Ok(());
    }
    let Activated { previous, .. } = client.activate(name)?;
    print_activated(name, &args.to, previous.as_deref());
    Ok(())
}

fn to_store(args: &Publish, name: &str) -> Result<()> {
    if args.key_file.is_some() {
        let text = "--key-file is for servers; give the credentials of an object store in the environment, such as AWS_ACCESS_KEY_ID";
        return Err(BadInput(text.to_owned()).into());
    }
    let url: StoreUrl = args.to.parse().map_err(|error| BadInput(format!("--to: {error}")))?;
    let store = ReleaseStore::open(url.clone())?;
    let archive = Archive::of(&args.out, name)?;
    let files: Vec<LocalFile> = archive
        .files()
        .map(|(path, file, bytes)| LocalFile {
            path: path.to_owned(),
            file: file.to_owned(),
            bytes,
        })
        .collect();
    let bar = progress(files.iter().map(|file| file.bytes).sum())?;
    let sent = store.upload_release(name, &files, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let Published { sent, kept } = sent?;
    println!("release {name} is in {url}: {sent} files sent, {kept} were there");
    if !args.no_activate {
        print_activated(name, &url, store.activate(name)?.as_deref());
    }
    if let Some(keep) = args.keep {
        for name in store.remove_older(keep)? {
            println!("release {name} is removed from {url}");
        }
    }
    Ok(())
}

fn progress(bytes: u64) -> Result<ProgressBar> {
    let bar = ProgressBar::new(bytes);
    bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {eta}")?);
    Ok(bar)
}

fn print_activated(name: &str, to: &impl std::fmt::Display, previous: Option<&str>) {
    match previous {
        Some(previous) => println!("release {name} is in use on {to}, in place of {previous}"),
        None => println!("release {name} is in use on {to}"),
    }
}
