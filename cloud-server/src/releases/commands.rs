use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use tandem_release_client::{
    Activated, Archive, Client, ListedRelease, ReleaseClientError, ReleaseList, current, key,
};

const MIB: f64 = 1_048_576.0;

/// Lists, sends, activates and deletes the releases of a running server.
#[derive(Debug, Args)]
pub struct ReleasesCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the releases on the disk of the server: which is in use, which a roll-back puts in use,
    /// and why one was refused.
    List {
        #[command(flatten)]
        to: To,
    },
    /// Send a release of a folder of `tandem quickstart`; the server verifies it. It is not in use
    /// before it is activated.
    Upload {
        /// Folder with `releases`, `artifacts` and `current`.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Name of the release [default: the one that the file `current` of the folder names].
        #[arg(long, value_name = "NAME")]
        release: Option<String>,
        /// Put it in use, too.
        #[arg(long)]
        activate: bool,
        #[command(flatten)]
        to: To,
    },
    /// Put a release in use: the server tries and loads it beside the one in use, which stays in use
    /// if the new one is refused.
    Activate {
        /// Name of the release, as `list` prints it.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        to: To,
    },
    /// Put the release in use that was in use before. A second roll-back undoes the first.
    Rollback {
        #[command(flatten)]
        to: To,
    },
    /// Delete a release that is not in use.
    Delete {
        /// Name of the release, as `list` prints it.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        to: To,
    },
}

/// The server.
#[derive(Debug, Args)]
struct To {
    /// Address of the server, which runs with --release.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// File with an admin key of the server [default: the variable `TANDEM_KEY`, else no key].
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl To {
    fn client(&self) -> Result<Client, ReleaseClientError> {
        let client = Client::new(&self.server, key(self.key_file.as_deref())?)?;
        if client.shows_the_key() {
            eprintln!(
                "warning: {} is not encrypted: others on the way can read the key",
                client.url()
            );
        }
        Ok(client)
    }
}

impl ReleasesCommand {
    /// Does the command and returns what it prints.
    ///
    /// # Errors
    /// See [`ReleaseClientError`].
    pub fn run(self) -> Result<String, ReleaseClientError> {
        match self.action {
            Action::List { to } => Ok(table(&to.client()?.list()?)),
            Action::Upload { folder, release, activate, to } => {
                let client = to.client()?;
                let name = release.map_or_else(|| current(&folder), Ok)?;
                let archive = Archive::of(&folder, &name)?;
                let sent = if client.has(&name)? {
                    format!("release {name} is on the server already")
                } else {
                    client.upload(&name, archive.bytes(), &mut archive.reader())?;
                    format!("release {name} is on the server")
                };
                if !activate {
                    return Ok(sent);
                }
                Ok(format!("{sent}\n{}", in_use(&client.activate(&name)?)))
            }
            Action::Activate { name, to } => Ok(in_use(&to.client()?.activate(&name)?)),
            Action::Rollback { to } => Ok(in_use(&to.client()?.roll_back()?)),
            Action::Delete { name, to } => {
                to.client()?.delete(&name)?;
                Ok(format!("release {name} is deleted"))
            }
        }
    }
}

fn in_use(activated: &Activated) -> String {
    let Activated { release, previous } = activated;
    match previous {
        Some(previous) => format!("release {release} is in use, in place of {previous}"),
        None => format!("release {release} is in use"),
    }
}

/// One line for each release, the newest first.
fn table(list: &ReleaseList) -> String {
    let mut text = format!(
        "{:16}  {:8}  {:16}  {:>9}  {:>10}  dataset",
        "release", "state", "written (UTC)", "items", "MiB"
    );
    for release in &list.releases {
        let ListedRelease { name, refused, dataset, items, bytes, written } = release;
        let state = if *name == list.in_use {
            "in use"
        } else if list.loading() == Some(name) {
            "loading"
        } else if refused.is_some() {
            "refused"
        } else if list.previous.as_ref() == Some(name) {
            "previous"
        } else {
            ""
        };
        let written = i64::try_from(*written).ok();
        let written = written.and_then(|at| Timestamp::from_millisecond(at).ok());
        let written = written.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
        let items = items.map(|items| items.to_string());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{name:16}  {state:8}  {:16}  {:>9}  {:>10.1}  {}",
            written.unwrap_or_default(),
            items.unwrap_or_default(),
            *bytes as f64 / MIB,
            dataset.as_deref().unwrap_or("?"),
        );
        if let Some(refused) = refused {
            let _ = write!(text, "\n  refused: {}", refused.reason);
        }
    }
    text
}
