use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Subcommand};
use tandem_storage::StoredKey;

use super::{
    KeyKind, KeysError,
    generate::NewKey,
    key_file::Entry,
    key_place::{self, DatabaseArgs, PlaceArgs},
};
use crate::{origin::Origin, secrets::Secret};

/// Maximum number of characters of a key's name.
const MAX_NAME: usize = 100;

/// Makes, lists, copies and revokes keys, in a file that one server reads (`--file`) or in the database of
/// several servers (`--storage`). A running server reads the file again on SIGHUP; changes in the
/// database reach all its servers within a second.
#[derive(Debug, Args)]
pub struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, store its hash and print the key, which is not shown again. A name can have two
    /// keys of a kind, so that a new one can replace the old one without a gap.
    New {
        #[command(flatten)]
        place: PlaceArgs,
        /// Name of the key's user, for example a shop.
        #[arg(long, value_parser = key_name)]
        name: String,
        /// What the key allows.
        #[arg(long, default_value = "public")]
        kind: KeyKind,
        /// Origin whose pages may use the key; may be repeated [default: all].
        #[arg(long, value_name = "URL", value_parser = Secret::<Origin>::new())]
        origin: Vec<Origin>,
        /// Requests per minute of all clients of the key together [default: no limit].
        #[arg(long, value_name = "N")]
        requests_per_minute: Option<NonZeroU32>,
    },
    /// List the keys.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy the keys of a file to a database, so that servers can change from `--keys` to
    /// `--stored-keys` and their users keep their keys. All or none are copied; keys that the
    /// database has already stay as they are. Delete the file afterwards: a key that is revoked in
    /// the database would be copied again.
    Copy {
        /// File of keys.
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Remove a key.
    Revoke {
        #[command(flatten)]
        place: PlaceArgs,
        /// The key's id, as `list` prints it.
        id: String,
    },
}

/// Whether a character is not seen, or changes the order of those that are: a name with it looks
/// like another one.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// A name that lists and the admin page can show in a line.
fn key_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let found = name.chars().count();
    if found == 0 {
        return Err("expected the name of the key's user, found none".to_owned());
    }
    if found > MAX_NAME {
        return Err(format!("expected at most {MAX_NAME} characters, found {found}"));
    }
    match name.chars().find(|character| is_hidden(*character)) {
        Some(found) => {
            Err(format!("expected only visible characters, found {}", found.escape_unicode()))
        }
        None => Ok(name.to_owned()),
    }
}

impl KeysCommand {
    /// Does the command and returns what it prints.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn run(self) -> Result<String, KeysError> {
        match self.action {
            Action::New { place, name, kind, origin, requests_per_minute } => {
                let place = place.place()?;
                let NewKey { id, text, sha256 } = NewKey::generate(kind)?;
                let origins = origin.iter().map(ToString::to_string).collect();
                let created = Some(jiff::Timestamp::now().strftime("%Y-%m-%d").to_string());
                place.add(Entry {
                    id,
                    name,
                    kind,
                    sha256,
                    origins,
                    requests_per_minute,
                    created,
                })?;
                Ok(text)
            }
            Action::List { place } => {
                let lines = place.place()?.list()?.into_iter().map(|key| {
                    let StoredKey { id, name, kind, origins, requests_per_minute, .. } = key;
                    let rate = requests_per_minute.map(|rate| format!("  {rate}/min"));
                    format!(
                        "{id}  {kind}  {name}  {}{}",
                        origins.join(" "),
                        rate.unwrap_or_default()
                    )
                    .trim_end()
                    .to_owned()
                });
                Ok(lines.collect::<Vec<_>>().join("\n"))
            }
            Action::Copy { file, database } => {
                let (found, added) = key_place::copy(&file, &database.location()?)?;
                let known = found - added;
                Ok(format!("keys copied: {added}; in the database already: {known}"))
            }
            Action::Revoke { place, id } => {
                let place = place.place()?;
                place.revoke(&id)?;
                Ok(format!("revoked {id}; {}", place.followed()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Barrier, thread};

    use clap::Parser;

    use super::*;
    use crate::access::KeySet;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        keys: KeysCommand,
    }

    fn keys(file: &Path, line: &[&str]) -> Result<String, KeysError> {
        let file = file.to_str().unwrap();
        run(&[&["keys"], line, &["--file", file]].concat())
    }

    fn run(line: &[&str]) -> Result<String, KeysError> {
        Line::try_parse_from(line).unwrap().keys.run()
    }

    #[test]
    fn a_key_is_shown_once_and_stored_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        let new = ["new", "--name", "shop", "--origin", "https://shop.example"];
        let key = keys(&file, &new).unwrap();
        assert!(key.starts_with("tandem_public_"), "{key}");
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&key) && text.contains("sha256"), "{text}");
        let stored = KeySet::read(&file).unwrap();
        let found = stored.find(&key).unwrap();
        assert_eq!((found.kind, found.origins.len()), (KeyKind::Public, 1));
        assert!(stored.find(&key[1..]).is_none());
        let admin = keys(&file, &["new", "--name", "shop", "--kind", "admin"]).unwrap();
        assert!(admin.starts_with("tandem_admin_"), "{admin}");
    }

    #[test]
    fn a_name_fits_in_a_line() {
        assert_eq!(key_name(" my shop ").unwrap(), "my shop");
        assert_eq!(key_name(&"é".repeat(MAX_NAME)).unwrap().chars().count(), MAX_NAME);
        for (name, expected) in [
            ("", "found none"),
            (" ", "found none"),
            ("a\nb", r"found \u{a}"),
            ("\u{200b}", r"found \u{200b}"),
            ("\u{202e}live", r"found \u{202e}"),
            (&"x".repeat(MAX_NAME + 1), "found 101"),
        ] {
            let refusal = key_name(name).unwrap_err();
            assert!(refusal.ends_with(expected), "{refusal}");
        }
    }

    #[test]
    fn a_name_has_at_most_two_keys_and_a_revoked_key_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        let new = ["new", "--name", "shop"];
        let old = keys(&file, &new).unwrap();
        let next = keys(&file, &new).unwrap();
        assert_ne!(old, next);
        let Err(KeysError::TooMany { ids, .. }) = keys(&file, &new) else { panic!("a third key") };
        assert!(keys(&file, &["list"]).unwrap().starts_with(&ids[0]));
        keys(&file, &["revoke", &ids[0]]).unwrap();
        let stored = KeySet::read(&file).unwrap();
        assert!(stored.find(&old).is_none() && stored.find(&next).is_some());
        let refused = keys(&file, &["revoke", &ids[0]]);
        assert!(matches!(refused, Err(KeysError::NotFound { .. })));
    }

    #[test]
    fn keys_that_are_made_and_revoked_at_once_are_all_kept() {
        const AT_ONCE: usize = 16;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        keys(&file, &["new", "--name", "old"]).unwrap();
        let old = keys(&file, &["list"]).unwrap().split(' ').next().unwrap().to_owned();
        let start = Barrier::new(AT_ONCE + 1);
        let made: Vec<String> = thread::scope(|scope| {
            let new = |number: usize| {
                let (file, start) = (&file, &start);
                scope.spawn(move || {
                    start.wait();
                    keys(file, &["new", "--name", &format!("shop {number}")]).unwrap()
                })
            };
            let making: Vec<_> = (0..AT_ONCE).map(new).collect();
            start.wait();
            keys(&file, &["revoke", &old]).unwrap();
            making.into_iter().map(|made| made.join().unwrap()).collect()
        });
        let stored = KeySet::read(&file).unwrap();
        assert!(made.iter().all(|key| stored.find(key).is_some()));
        assert_eq!(stored.keys().count(), AT_ONCE);
    }

    #[test]
    fn a_database_has_the_rules_and_the_lines_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        let location = path.to_str().unwrap();
        let stored = |line: &[&str]| run(&[&["keys"], line, &["--storage", location]].concat());
        let missing = stored(&["list"]).unwrap_err();
        assert!(matches!(missing, KeysError::NoDatabase { .. }) && !path.exists(), "{missing}");
        let file = folder.path().join("keys.toml");
        let origin = ["--origin", "https://shop.example", "--origin", "capacitor://localhost"];
        let rate = ["--requests-per-minute", "60"];
        for new in [
            [&["new", "--name", "shop"], &origin[..], &rate].concat(),
            ["new", "--name", "a name", "--kind", "admin"].to_vec(),
            ["new", "--name", "shop"].to_vec(),
        ] {
            let (kept, filed) = (stored(&new).unwrap(), keys(&file, &new).unwrap());
            // `tandem_KIND_` and 8 digits.
            let kind = |key: &str| key[..key.len() - 44 - 8].to_owned();
            assert_eq!((kind(&kept), kept.len()), (kind(&filed), filed.len()));
        }
        let without_ids = |list: String| -> Vec<String> {
            list.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect()
        };
        let list = stored(&["list"]).unwrap();
        assert_eq!(without_ids(list.clone()), without_ids(keys(&file, &["list"]).unwrap()));
        let Err(KeysError::TooMany { ids, .. }) = stored(&["new", "--name", "shop"]) else {
            panic!("a third key")
        };
        assert!(list.starts_with(&ids[0]));
        let revoked = stored(&["revoke", &ids[0]]).unwrap();
        assert!(revoked.contains(&ids[0]) && revoked.contains("within a second"), "{revoked}");
        let refused = stored(&["revoke", &ids[0]]);
        assert!(matches!(refused, Err(KeysError::NotFound { .. })));
        assert_eq!(stored(&["list"]).unwrap().lines().count(), 2);
    }

    #[test]
    fn keys_of_a_file_are_copied_to_a_database_all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (file, location) = (path("keys.toml"), path("shop.db"));
        let in_file = |line: &[&str]| keys(Path::new(&file), line);
        let stored = |line: &[&str]| run(&[&["keys"], line, &["--storage", &location]].concat());
        let copy = |file: &str| stored(&["copy", "--file", file]);
        assert!(matches!(copy(&file), Err(KeysError::File(_))));
        in_file(&["new", "--name", "shop", "--origin", "https://shop.example"]).unwrap();
        in_file(&["new", "--name", "reports", "--kind", "admin"]).unwrap();
        assert_eq!(copy(&file).unwrap(), "keys copied: 2; in the database already: 0");
        assert_eq!(stored(&["list"]).unwrap(), in_file(&["list"]).unwrap());
        in_file(&["new", "--name", "app"]).unwrap();
        assert_eq!(copy(&file).unwrap(), "keys copied: 1; in the database already: 2");
        let list = stored(&["list"]).unwrap();
        assert_eq!(list, in_file(&["list"]).unwrap());
        stored(&["new", "--name", "app"]).unwrap();
        in_file(&["new", "--name", "press"]).unwrap();
        in_file(&["new", "--name", "app"]).unwrap();
        assert!(matches!(copy(&file), Err(KeysError::TooManyToCopy { .. })));
        fs::write(&file, fs::read_to_string(&file).unwrap().replace("sha256 = \"", "sha256 = \"x"))
            .unwrap();
        assert!(matches!(copy(&file), Err(KeysError::File(_))));
        assert_eq!(stored(&["list"]).unwrap().lines().count(), 4);
        let nowhere = Line::try_parse_from(["keys", "copy", "--file", &file]).unwrap();
        let Action::Copy { database, .. } = nowhere.keys.action else { panic!("another command") };
        assert!(matches!(database.location(), Err(KeysError::NoStorage)));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_target_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("real.toml"), folder.path().join("keys.toml"));
        symlink("real.toml", &link).unwrap();
        // The target does not exist yet.
        keys(&link, &["new", "--name", "shop"]).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let key = keys(&link, &["new", "--name", "shop"]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(KeySet::read(&target).unwrap().find(&key).is_some());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_missing_folder_is_refused_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere");
        let error = keys(&missing.join("keys.toml"), &["new", "--name", "shop"]).unwrap_err();
        assert!(matches!(error, KeysError::NoFolder { .. }), "{error}");
        assert!(!missing.exists());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.toml");
        for text in
            ["", "[[key]]\nid = 7", "[[key]]\nid=\"a\"\nname=\"n\"\nkind=\"public\"\nsha256=\"x\""]
        {
            fs::write(&file, text).unwrap();
            let error = KeySet::read(&file).unwrap_err().to_string();
            assert!(error.contains("keys.toml is not a key file"), "{text}: {error}");
        }
    }
}
