//! The model's files: named by the manifest, and verified before they are parsed.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tandem_collaboration::{Fusion, Policy};
use tandem_model::{ItemTable, LearningConfig, cells::CellIndex};
use tandem_protocol::{Artifact, Counts, ErrorCode, ItemId, Manifest, PROTOCOL_VERSION};
use tandem_session::{DEFAULT_CELL_MEMORY, RowStore, SearchMode, SearchSource, Session, Settings};

use crate::{
    config::OpenConfig,
    device::ComputeDevice,
    error::{ClientError, Failure},
};

/// Without search, a device loads the whole item table of a release without cells up to this number
/// of items, and works without the network. For larger catalogues, and for releases with cells,
/// rows come with the candidates.
const WHOLE_TABLE_ITEMS: usize = 20_000;

/// Number of digits of a manifest's hash in its address.
const ADDRESS_DIGITS: usize = 16;

pub(crate) type DeviceManifest = Manifest<Fusion, Policy, LearningConfig>;

/// A verified manifest, and the folder of its files.
pub(crate) struct Release {
    pub(crate) manifest: DeviceManifest,
    /// First digits of the SHA-256 of the manifest's bytes: the folder of its files.
    pub(crate) hash: String,
    /// What the device loads for its search; `None` if it only ranks candidate lists.
    search: Option<SearchSource>,
}

/// The rows that a device loads when a session is opened.
pub(crate) enum Table<Whole, Cells> {
    /// None: rows come with the candidates.
    None,
    /// The whole item table.
    Whole(Whole),
    /// The index of the cells.
    Cells(Cells),
}

/// Contents of the files that a device loads; verified.
pub(crate) struct Files {
    pub(crate) body: Vec<u8>,
    /// Item table and items file, or the index of the cells.
    pub(crate) table: Table<(Vec<u8>, Vec<u8>), Vec<u8>>,
}

/// Read before the rest, to tell a newer version from a damaged file.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Release {
    /// Reads a manifest. `named` is its hash by the server's header, if there is one.
    pub(crate) fn read(
        bytes: &[u8],
        named: Option<&str>,
        search: SearchMode,
    ) -> Result<Self, ClientError> {
        let digest = sha256(bytes);
        let hash = digest[..ADDRESS_DIGITS].to_owned();
        if let Some(named) = named
            && named != hash
        {
            return Err(ClientError::new(
                ErrorCode::Integrity,
                format!(
                    "manifest.json is damaged: expected SHA-256 {named}…, found {hash}…; load it again"
                ),
            ));
        }
        let Version { version } =
            crate::response::json(bytes, "a manifest").map_err(ClientError::from)?;
        if version > PROTOCOL_VERSION {
            return Err(ClientError::new(
                ErrorCode::UnsupportedVersion,
                format!(
                    "manifest.json has version {version}, this client reads up to {PROTOCOL_VERSION}; reload the page for a newer client"
                ),
            ));
        }
        let manifest: DeviceManifest = serde_json::from_slice(bytes).map_err(|error| {
            ClientError::new(
                ErrorCode::InvalidArtifact,
                format!("manifest.json does not match version {version} of the format: {error}; export the artefacts again"),
            )
        })?;
        let cells = manifest.search.as_ref().and_then(|search| search.cells.as_ref());
        let counts = manifest.counts.as_ref().map(|counts| &counts.rows);
        let files = [&manifest.body, &manifest.rows, &manifest.items];
        for artifact in files.into_iter().chain(cells).chain(counts) {
            check_path(&artifact.path)?;
        }
        let search = search.source(manifest.search.as_ref());
        Ok(Self { manifest, hash, search })
    }

    /// The rows that the device loads when a session is opened.
    pub(crate) fn table(&self) -> Table<(), &Artifact> {
        match (self.search, self.cells()) {
            (Some(SearchSource::Cells), Some(index)) => Table::Cells(index),
            (Some(_), _) => Table::Whole(()),
            (None, None) if self.manifest.catalogue.items <= WHOLE_TABLE_ITEMS => Table::Whole(()),
            (None, _) => Table::None,
        }
    }

    /// The file of co-occurrence counts, for a device with the whole item table.
    pub(crate) fn counts_file(&self) -> Option<&Counts> {
        self.manifest.counts.as_ref().filter(|_| matches!(self.table(), Table::Whole(())))
    }

    /// The index of the cells, if the manifest has one.
    pub(crate) fn cells(&self) -> Option<&Artifact> {
        self.manifest.search.as_ref()?.cells.as_ref()
    }

    /// Creates the session. `files` must have been verified.
    pub(crate) fn session(
        self,
        files: Files,
        device: &ComputeDevice,
        config: &OpenConfig,
    ) -> Result<Session, ClientError> {
        let searches = self.search.is_some();
        let in_cells = matches!(self.table(), Table::Cells(_));
        let manifest = self.manifest;
        let scorer = device
            .scorer(&manifest.model, &files.body)
            .and_then(|scorer| match manifest.text {
                Some(text) => scorer.with_text(text),
                None => Ok(scorer),
            })
            .map_err(|error| damaged(&manifest.body, &error))?;
        let rows = match files.table {
            Table::Whole((rows, items)) => {
                let names = item_names(&items, &manifest)?;
                let table =
                    ItemTable::from_bytes(rows).map_err(|error| damaged(&manifest.rows, &error))?;
                RowStore::whole(table, names)?
            }
            Table::Cells(index) => {
                let index = CellIndex::from_bytes(&index).map_err(|error| {
                    let name = manifest.search.as_ref().and_then(|search| search.cells.as_ref());
                    damaged(name.unwrap_or(&manifest.rows), &error)
                })?;
                RowStore::with_cells(index, config.search_memory()?.unwrap_or(DEFAULT_CELL_MEMORY))
            }
            Table::None => RowStore::new(scorer.row_dims()),
        };
        let settings = Settings {
            fusion: manifest.fusion,
            policy: manifest.policy,
            learning: manifest.learning,
            base: base(&manifest.body, &manifest.rows),
            catalogue_hash: manifest.catalogue.hash,
            search_k: if searches { manifest.search.unwrap_or_default().k } else { 0 },
            popular: manifest.popular,
            repeats: config.repeats.unwrap_or(manifest.repeats),
        };
        let mut session = Session::new(scorer, rows, settings)?;
        session.calibrate(manifest.language_models)?;
        if let Some(counts) = manifest.counts.filter(|_| in_cells && config.counts()) {
            session.use_sent_counts(counts.weight)?;
        }
        Ok(session)
    }
}

/// Identifies the shared weights of a personal delta: body and item rows.
fn base(body: &Artifact, rows: &Artifact) -> String {
    sha256(format!("{}\n{}\n", body.sha256, rows.sha256).as_bytes())
}

/// Refuses bytes whose hash is not the manifest's.
pub(crate) fn verify(bytes: &[u8], artifact: &Artifact) -> Result<(), Failure> {
    let found = sha256(bytes);
    if found == artifact.sha256 {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::Integrity,
        format!(
            "{} is damaged: expected SHA-256 {} ({} bytes), found {found} ({} bytes); \
             clear the cache or export the artefacts again",
            artifact.path,
            artifact.sha256,
            artifact.bytes,
            bytes.len()
        ),
    ))
}

/// An entry of the items file; its other fields are for people.
#[derive(Deserialize)]
struct Named {
    item: ItemId,
}

/// Ids of the catalogue in order, verified by the catalogue's hash.
fn item_names(bytes: &[u8], manifest: &DeviceManifest) -> Result<Vec<ItemId>, ClientError> {
    let listed: Vec<Named> =
        serde_json::from_slice(bytes).map_err(|error| damaged(&manifest.items, &error))?;
    let names: Vec<ItemId> = listed.into_iter().map(|entry| entry.item).collect();
    let mut hasher = Sha256::new();
    for name in &names {
        hasher.update(name.as_str());
        hasher.update("\n");
    }
    let (found, expected) = (hex(&hasher.finalize()), &manifest.catalogue.hash);
    if found != *expected {
        return Err(ClientError::new(
            ErrorCode::Integrity,
            format!(
                "{} belongs to another catalogue: expected hash {expected}, found {found}; export the artefacts again",
                manifest.items.path
            ),
        ));
    }
    Ok(names)
}

/// A manifest may only name files in its own folder.
fn check_path(path: &str) -> Result<(), ClientError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !path.is_empty() && !path.starts_with('.') && path.chars().all(plain) {
        return Ok(());
    }
    Err(ClientError::new(
        ErrorCode::InvalidArtifact,
        format!("manifest.json names the file {path:?}; expected a plain file name"),
    ))
}

fn damaged(artifact: &Artifact, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::new(ErrorCode::InvalidArtifact, format!("{}: {error}", artifact.path))
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // SHA-256 of "abc", FIPS 180-2 appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn artifact(path: &str) -> Artifact {
        Artifact { path: path.into(), sha256: ABC.into(), bytes: 3 }
    }

    fn manifest_json(version: u32, path: &str) -> String {
        let file = |path| serde_json::to_string(&artifact(path)).unwrap();
        format!(
            r#"{{"version":{version},"catalogue":{{"hash":"h","items":3}},
                "model":{{"kind":"sasrec","dims":8,"blocks":1,"heads":1,"max_length":10}},
                "body":{},"rows":{},"items":{},
                "fusion":{{"rule":"paper","beta":1.0}},"policy":{{}},"learning":{{}},"new":true}}"#,
            file(path),
            file("rows.bin"),
            file("items.json"),
        )
    }

    fn refusal(bytes: &[u8], named: Option<&str>) -> ClientError {
        match Release::read(bytes, named, SearchMode::Auto) {
            Ok(_) => panic!("expected a refusal"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_flipped_byte_is_refused_with_file_name_and_both_hashes() {
        assert!(verify(b"abc", &artifact("body.safetensors")).is_ok());
        let error = verify(b"abb", &artifact("body.safetensors")).unwrap_err().error;
        assert_eq!(error.code, ErrorCode::Integrity);
        for part in ["body.safetensors", ABC, &sha256(b"abb")] {
            assert!(error.message.contains(part), "{}", error.message);
        }
    }

    #[test]
    fn a_manifest_is_read_and_has_its_own_hash_as_folder() {
        let json = manifest_json(PROTOCOL_VERSION, "body.safetensors");
        let hash = &sha256(json.as_bytes())[..16];
        let release = Release::read(json.as_bytes(), Some(hash), SearchMode::Auto).unwrap();
        assert_eq!(release.hash, hash);
        assert_eq!(release.manifest.policy, Policy::default());
        assert!(matches!(release.table(), Table::Whole(())));
    }

    #[test]
    fn an_unusable_manifest_is_refused_with_its_cause() {
        let json = manifest_json(PROTOCOL_VERSION, "body.safetensors");
        let wrong = refusal(json.as_bytes(), Some("0123456789abcdef"));
        assert_eq!(wrong.code, ErrorCode::Integrity);
        let newer = refusal(manifest_json(PROTOCOL_VERSION + 1, "b").as_bytes(), None);
        assert_eq!(newer.code, ErrorCode::UnsupportedVersion);
        for path in ["../body", "a/b", "", ".hidden"] {
            let error = refusal(manifest_json(PROTOCOL_VERSION, path).as_bytes(), None);
            assert_eq!(error.code, ErrorCode::InvalidArtifact, "{path}");
        }
        assert_eq!(refusal(b"<html>", None).code, ErrorCode::BadResponse);
        let shapeless = refusal(br#"{"version":1,"model":7}"#, None);
        assert_eq!(shapeless.code, ErrorCode::InvalidArtifact);
    }

    #[test]
    fn item_names_must_have_the_hash_of_the_catalogue() {
        let json = manifest_json(PROTOCOL_VERSION, "b");
        let mut manifest = Release::read(json.as_bytes(), None, SearchMode::Auto).unwrap().manifest;
        let items = br#"[{"item":"a","title":"A"},{"item":"b","title":"B","year":1999}]"#;
        let error = item_names(items, &manifest).unwrap_err();
        assert_eq!(error.code, ErrorCode::Integrity);
        manifest.catalogue.hash = sha256(b"a\nb\n");
        let names = item_names(items, &manifest).unwrap();
        assert_eq!(names, [ItemId::from("a"), ItemId::from("b")]);
    }
}
