use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use tandem_storage::{BackupError, BackupSummary, Location, Storage, StorageError, check_backup};

use super::export::{ExportError, Since, Target, add_forgotten, export};
use crate::secrets::Secret;

/// Exports, backs up and restores the database of `--storage`. A server may use it meanwhile,
/// except during a restoration.
#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// Write the events of visitors to a file for `tandem import`, `tandem quickstart` or
    /// `tandem retrain`.
    Export(ExportArgs),
    /// Write all items, ids of deleted items, events, forgotten visitors, activations,
    /// disagreements and hashes of keys to one file.
    Backup(BackupArgs),
    /// Read a file of `backup` into an empty database, which may be of the other kind.
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
struct Source {
    /// File of SQLite (`shop.db`, `sqlite:shop.db`) or URL of PostgreSQL
    /// (`postgres://USER:PASSWORD@HOST/DATABASE`).
    #[arg(long, value_name = "URL", value_parser = Secret::<Location>::new(), env = "TANDEM_STORAGE", hide_env_values = true)]
    storage: Location,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    source: Source,
    /// File to write; its extension, `.jsonl` or `.parquet`, selects the format.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file of --out if it exists.
    #[arg(long)]
    overwrite: bool,
    /// Only events that were received then or later: a date (`2026-11-01`, UTC), a time
    /// (`2026-11-01T12:00:00Z`) or milliseconds since 1970 [default: all events].
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Also views and dislikes, which training does not read [default: clicks and purchases].
    #[arg(long)]
    all: bool,
    /// Also write the list of forgotten visitors, as hashes of their names. Earlier exports may
    /// still have their events: the file is the `forgotten.json` of a folder of `tandem
    /// quickstart`, whose imports leave them out. A list that is there is added to.
    #[arg(long, value_name = "FILE")]
    forgotten: Option<PathBuf>,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    source: Source,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file of --out if it exists.
    #[arg(long)]
    overwrite: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    source: Source,
    /// File to read.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
}

/// Why a command on the storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageCommandError {
    /// There is no database to read.
    #[error("there is no file {}; give the database of the server with --storage", path.display())]
    Missing {
        /// The file of SQLite.
        path: PathBuf,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The backup failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl StorageCommand {
    /// Does the command and returns what it prints.
    ///
    /// # Errors
    /// See [`StorageCommandError`].
    pub fn run(self) -> Result<String, StorageCommandError> {
        Ok(match self {
            Self::Export(ExportArgs { source, out, overwrite, since, all, forgotten }) => {
                let target = Target::new(&out, overwrite)?;
                let storage = existing(&source.storage)?;
                // First, so that a failure leaves no new events without it.
                let listed = forgotten.map(|path| add_forgotten(&storage, &path)).transpose()?;
                let events = export(&storage, &target, since.unwrap_or_default(), all)?;
                let listed = listed.map(|names| format!("; {names} forgotten visitors are listed"));
                let listed = listed.unwrap_or_default();
                format!("{events} events written to {}{listed}", out.display())
            }
            Self::Backup(BackupArgs { source, out, overwrite }) => {
                let storage = existing(&source.storage)?;
                let summary = storage.block_on(storage.back_up(&out, overwrite))?;
                let (items, events) = (summary.items, summary.events);
                format!("{items} items and {events} events written to {}", out.display())
            }
            Self::Restore(RestoreArgs { source, from }) => {
                let summary = restore(&source.storage, &from)?;
                let (items, events) = (summary.items, summary.events);
                format!("{items} items and {events} events restored")
            }
        })
    }
}

/// Restores a backup. A file of SQLite that this makes is removed if the backup is refused.
fn restore(location: &Location, from: &Path) -> Result<BackupSummary, StorageCommandError> {
    check_backup(from)?;
    let made = match location {
        Location::Sqlite(path) if !path.exists() => Some(path),
        _ => None,
    };
    let restored = Storage::open(location).map_err(StorageCommandError::from).and_then(|storage| {
        let restored = storage.block_on(storage.restore(from));
        storage.block_on(storage.close());
        Ok(restored?)
    });
    if let (Err(_), Some(path)) = (&restored, made) {
        for end in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            // What is not there needs no removal; the error of the command is the one to show.
            let _: io::Result<()> = fs::remove_file(name);
        }
    }
    restored
}

/// Opens a database to read from. A file that does not exist is not created.
fn existing(location: &Location) -> Result<Storage, StorageCommandError> {
    match location {
        Location::Sqlite(path) if !path.exists() => {
            Err(StorageCommandError::Missing { path: path.clone() })
        }
        _ => Ok(Storage::open(location)?),
    }
}
