//! Where the commands on keys find them: in a file, or in the database of the servers.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use tandem_storage::{AddKeyError, Location, Storage, StoredKey};

use super::{
    KeySet,
    key_file::{Entries, Entry},
    key_store::{KeysError, Missing, change},
};
use crate::secrets::Secret;

/// The variable that names the database, as for the other commands on it.
const VARIABLE: &str = "TANDEM_STORAGE";

/// The options that name the place.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// File of keys of a server with `--keys`; `new` creates it, in a folder that exists.
    #[arg(long, value_name = "FILE", conflicts_with = "storage")]
    file: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The option that names the database.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Database of servers with `--stored-keys`: a file of `SQLite` (`shop.db`, `sqlite:shop.db`) or
    /// URL of PostgreSQL (`postgres://USER:PASSWORD@HOST/DATABASE`) [default without --file: the
    /// variable `TANDEM_STORAGE`].
    #[arg(long, value_name = "URL", value_parser = Secret::<Location>::new())]
    storage: Option<Location>,
}

/// Where keys are.
#[derive(Debug)]
pub(super) enum KeyPlace {
    File(PathBuf),
    Storage(Location),
}

impl PlaceArgs {
    /// The place that the options name, or else the environment.
    pub(super) fn place(self) -> Result<KeyPlace, KeysError> {
        self.place_or(env::var_os(VARIABLE))
    }

    /// The command line says it clearly, so the variable counts only without it.
    fn place_or(self, variable: Option<OsString>) -> Result<KeyPlace, KeysError> {
        match self.file {
            Some(file) => Ok(KeyPlace::File(file)),
            None => self.database.or(variable)?.map(KeyPlace::Storage).ok_or(KeysError::NoPlace),
        }
    }
}

impl DatabaseArgs {
    /// The database that the option names, or else the environment.
    pub(super) fn location(self) -> Result<Location, KeysError> {
        self.or(env::var_os(VARIABLE))?.ok_or(KeysError::NoStorage)
    }

    fn or(self, variable: Option<OsString>) -> Result<Option<Location>, KeysError> {
        // What is not UTF-8 is an address that cannot be read.
        let parse = |text: OsString| text.to_string_lossy().parse::<Location>();
        match self.storage {
            Some(location) => Ok(Some(location)),
            None => variable.map(parse).transpose().map_err(KeysError::Variable),
        }
    }
}

impl KeyPlace {
    /// Adds a key, unless its name has two keys of its kind. Makes the file or the database of
    /// SQLite if there is none.
    pub(super) fn add(&self, entry: Entry) -> Result<(), KeysError> {
        let name = entry.name.clone();
        match self {
            Self::File(path) => change(path, Missing::Create, |entries| {
                entries.add(entry).map_err(|ids| KeysError::TooMany { name, ids })
            }),
            Self::Storage(location) => add_to(location, vec![entry.into()]).map(drop),
        }
    }

    /// The keys, in the order in which they were added.
    pub(super) fn list(&self) -> Result<Vec<StoredKey>, KeysError> {
        match self {
            Self::File(path) => {
                Ok(Entries::read(path)?.keys.into_iter().map(StoredKey::from).collect())
            }
            Self::Storage(location) => {
                check_exists(location)?;
                let read = with_storage(location, async |storage| storage.keys().await)?;
                Ok(read?.keys)
            }
        }
    }

    /// Removes a key.
    pub(super) fn revoke(&self, id: &str) -> Result<(), KeysError> {
        let not_found = || KeysError::NotFound { id: id.to_owned() };
        match self {
            Self::File(path) => change(path, Missing::Refuse, |entries| {
                let before = entries.keys.len();
                entries.keys.retain(|entry| entry.id != id);
                if entries.keys.len() == before { Err(not_found()) } else { Ok(()) }
            }),
            Self::Storage(location) => {
                check_exists(location)?;
                let revoked = with_storage(location, async |storage| storage.revoke_key(id).await)?;
                if revoked? { Ok(()) } else { Err(not_found()) }
            }
        }
    }

    /// When a running server follows a change.
    pub(super) fn followed(&self) -> &'static str {
        match self {
            Self::File(_) => "a running server follows after SIGHUP",
            Self::Storage(_) => "running servers follow within a second",
        }
    }
}

/// Copies the keys of a file to a database, all or none. Those that were there stay. Returns how many
/// the file has, and how many were added.
pub(super) fn copy(path: &Path, location: &Location) -> Result<(usize, usize), KeysError> {
    let entries = Entries::read(path)?;
    // The database would take what is no key, and its servers would leave it out.
    KeySet::of_file(path, entries.clone())?;
    let keys: Vec<_> = entries.keys.into_iter().map(StoredKey::from).collect();
    let found = keys.len();
    let added = add_to(location, keys).map_err(|error| match error {
        KeysError::TooMany { name, ids } => KeysError::TooManyToCopy { name, ids },
        other => other,
    })?;
    Ok((found, added))
}

/// Adds keys to a database, and returns how many were not there.
fn add_to(location: &Location, keys: Vec<StoredKey>) -> Result<usize, KeysError> {
    let added = with_storage(location, async |storage| storage.add_keys(keys).await)?;
    added.map_err(|error| match error {
        AddKeyError::TooMany { name, ids } => KeysError::TooMany { name, ids },
        AddKeyError::Taken { id } => KeysError::Taken { id },
        AddKeyError::Storage(error) => error.into(),
    })
}

/// Opens a database, which is closed afterwards: a file of SQLite is one file then.
fn with_storage<T>(
    location: &Location,
    task: impl AsyncFnOnce(&Storage) -> T,
) -> Result<T, KeysError> {
    let storage = Storage::open(location)?;
    Ok(storage.block_on(async {
        let done = task(&storage).await;
        storage.close().await;
        done
    }))
}

/// A file of SQLite that does not exist is not made by who reads it.
fn check_exists(location: &Location) -> Result<(), KeysError> {
    match location {
        Location::Sqlite(path) if !path.exists() => {
            Err(KeysError::NoDatabase { path: path.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        place: PlaceArgs,
    }

    fn place(line: &[&str], variable: Option<&str>) -> Result<KeyPlace, KeysError> {
        let line = [&["keys"], line].concat();
        Line::try_parse_from(line).unwrap().place.place_or(variable.map(OsString::from))
    }

    #[test]
    fn the_command_line_comes_before_the_variable() {
        let shop = Location::Sqlite("shop.db".into());
        for line in [&["--storage", "shop.db"][..], &["--storage", "sqlite:shop.db"]] {
            for variable in [None, Some("other.db"), Some("mysql://x")] {
                let found = place(line, variable).unwrap();
                assert!(matches!(found, KeyPlace::Storage(it) if it == shop));
            }
        }
        let found = place(&["--file", "keys.toml"], Some("other.db")).unwrap();
        assert!(matches!(found, KeyPlace::File(file) if file.as_path() == Path::new("keys.toml")));
        let found = place(&[], Some("shop.db")).unwrap();
        assert!(matches!(found, KeyPlace::Storage(it) if it == shop));
    }

    #[test]
    fn no_place_two_places_and_a_wrong_variable_are_named() {
        let error = place(&[], None).unwrap_err().to_string();
        for part in ["--file", "--storage", VARIABLE] {
            assert!(error.contains(part), "{error}");
        }
        let both = Line::try_parse_from(["keys", "--file", "k", "--storage", "s"]);
        let error = both.err().unwrap().to_string();
        assert!(error.contains("--file") && error.contains("cannot be used with"), "{error}");
        for variable in ["", "mysql://u:tdm_secret@h/x"] {
            let error = place(&[], Some(variable)).unwrap_err().to_string();
            assert!(error.contains(VARIABLE) && !error.contains("tdm_secret"), "{error}");
        }
    }
}
