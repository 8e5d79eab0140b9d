use std::{collections::HashMap, fmt, fs, path::Path, sync::OnceLock};

use actix_web::web::Bytes;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tandem_dataset::{Catalogue, ItemIndex, files::sha256_hex};
use tandem_model::CountRows;
use tandem_protocol::{Artifact, Counts, Manifest, PROTOCOL_VERSION};

use super::{
    error::ArtifactError,
    names::{RELEASE_DIGITS, is_file_name},
};

/// The manifest. The server does not interpret fusion, policy and learning.
type ServerManifest = Manifest<Value, Value, Value>;

/// Bytes before the item rows: item count and dimensions, `u32` little-endian each.
const ROWS_HEADER: usize = 8;
/// Bytes of the scale before the values of a row, `f32` little-endian.
const ROW_SCALE: usize = 4;

/// One exported release: the manifest as bytes, and the item rows and counts in memory.
pub struct Release {
    hash: String,
    manifest: Bytes,
    rows_sha256: String,
    rows: Vec<u8>,
    row_bytes: usize,
    /// Co-occurrence counts for devices, if the release has any.
    counts: Option<CountRows>,
    /// The mean of all rows, made when it is needed.
    mean_row: OnceLock<Vec<f32>>,
}

impl Release {
    /// Name of the release: the first 16 hexadecimal digits of the SHA-256 of its manifest.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The bytes of `manifest.json`.
    #[must_use]
    pub fn manifest(&self) -> Bytes {
        self.manifest.clone()
    }

    /// SHA-256 of the item rows file, as in the manifest.
    #[must_use]
    pub fn rows_hash(&self) -> &str {
        &self.rows_sha256
    }

    /// The row of an item in Base64 ([`tandem_protocol::ItemRow::row`]).
    ///
    /// # Panics
    /// If the item is not in the catalogue of the store.
    #[must_use]
    pub fn row(&self, item: ItemIndex) -> String {
        let start = ROWS_HEADER + item.position() * self.row_bytes;
        BASE64_STANDARD.encode(&self.rows[start..start + self.row_bytes])
    }

    /// A row in Base64 for an item that has none, its own part and its text part: the weighted mean
    /// of the rows of known items, `spread` times as far from the mean of all rows.
    ///
    /// # Panics
    /// If an item is not in the catalogue of the store.
    pub(crate) fn estimated_row(&self, items: &[(ItemIndex, f32)], spread: f32) -> String {
        let mut sums = self.weighted_sum(items.iter().copied());
        let mean = self.mean_row.get_or_init(|| {
            let all = (self.rows.len() - ROWS_HEADER) / self.row_bytes;
            let weight = 1.0 / all as f32;
            self.weighted_sum((0..all).map(|position| (ItemIndex(position as u32), weight)))
        });
        for (sum, mean) in sums.iter_mut().zip(mean) {
            *sum = mean + spread * (*sum - mean);
        }
        let largest = sums.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / f32::from(i8::MAX);
        let mut bytes = scale.to_le_bytes().to_vec();
        let value = |sum: &f32| if scale > 0.0 { (sum / scale).round() as i8 } else { 0 };
        bytes.extend(sums.iter().map(|sum| value(sum).cast_unsigned()));
        BASE64_STANDARD.encode(bytes)
    }

    /// The sum of weighted rows, `[values of a row]`.
    fn weighted_sum(&self, items: impl Iterator<Item = (ItemIndex, f32)>) -> Vec<f32> {
        let mut sums = vec![0.0_f32; self.row_bytes - ROW_SCALE];
        for (item, weight) in items {
            let start = ROWS_HEADER + item.position() * self.row_bytes;
            let mut scale = [0; ROW_SCALE];
            scale.copy_from_slice(&self.rows[start..start + ROW_SCALE]);
            let factor = weight * f32::from_le_bytes(scale);
            for (sum, value) in sums.iter_mut().zip(self.row_values(item)) {
                *sum += factor * f32::from(value);
            }
        }
        sums
    }

    /// The 8-bit values of an item's row, without its scale.
    ///
    /// # Panics
    /// If the item is not in the catalogue of the store.
    pub(crate) fn row_values(&self, item: ItemIndex) -> impl ExactSizeIterator<Item = i8> + '_ {
        let start = ROWS_HEADER + item.position() * self.row_bytes;
        let values = &self.rows[start + ROW_SCALE..start + self.row_bytes];
        values.iter().map(|value| value.cast_signed())
    }

    /// Whether there are counts for an item of the catalogue.
    pub(crate) fn has_counts(&self, item: ItemIndex) -> bool {
        self.counts.as_ref().is_some_and(|counts| item.position() < counts.items())
    }

    /// The items that were most often chosen near an item, with their weights.
    pub(crate) fn near(&self, item: ItemIndex) -> impl Iterator<Item = (ItemIndex, f32)> + '_ {
        let rows = self.counts.iter().flat_map(move |counts| counts.row(item.position()));
        rows.map(|(position, weight)| (ItemIndex(position), weight))
    }

    /// Reads and verifies a release. Blocks.
    ///
    /// # Errors
    /// If a file is missing, damaged or of another catalogue.
    pub(super) fn load(
        root: &Path,
        hash: &str,
        catalogue: &Catalogue,
    ) -> Result<Self, ArtifactError> {
        let folder = root.join(hash);
        let path = folder.join("manifest.json");
        let (bytes, manifest) = read_manifest(&path, hash)?;
        if manifest.version > PROTOCOL_VERSION {
            return Err(ArtifactError::Version { path, found: manifest.version });
        }
        if manifest.catalogue.hash != catalogue.hash() {
            return Err(ArtifactError::OtherCatalogue {
                path,
                expected: catalogue.hash().to_owned(),
                found: manifest.catalogue.hash,
            });
        }
        for artifact in opaque_files(&manifest) {
            read_verified(&folder, artifact)?;
        }
        let rows = read_verified(&folder, &manifest.rows)?;
        let dims = manifest.model.dims + manifest.text.map_or(0, |text| text.dims);
        let row_bytes = ROW_SCALE + dims;
        let expected = ROWS_HEADER + catalogue.len() * row_bytes;
        let header = [catalogue.len(), dims].map(|n| (n as u32).to_le_bytes());
        if rows.len() != expected || rows[..ROWS_HEADER] != header.concat() {
            return Err(ArtifactError::Rows {
                path: folder.join(&manifest.rows.path),
                items: catalogue.len(),
                dims,
                bytes: rows.len(),
            });
        }
        let counts = read_counts(&folder, &manifest, catalogue)?;
        Ok(Self {
            hash: hash.to_owned(),
            manifest: Bytes::from(bytes),
            rows_sha256: manifest.rows.sha256,
            rows,
            row_bytes,
            counts,
            mean_row: OnceLock::new(),
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// Reads the manifest of the release `hash` and verifies that it has this name.
fn read_manifest(path: &Path, hash: &str) -> Result<(Vec<u8>, ServerManifest), ArtifactError> {
    let bytes = read(path)?;
    let found = sha256_hex(&bytes);
    if found[..RELEASE_DIGITS] != *hash {
        let (path, expected) = (path.to_owned(), hash.to_owned());
        return Err(ArtifactError::Damaged { path, expected, found });
    }
    let manifest = serde_json::from_slice(&bytes)
        .map_err(|source| ArtifactError::Manifest { path: path.to_owned(), source })?;
    Ok((bytes, manifest))
}

/// The files that the server does not interpret.
fn opaque_files(manifest: &ServerManifest) -> impl Iterator<Item = &Artifact> {
    let cell_index = manifest.search.as_ref().and_then(|search| search.cells.as_ref());
    [&manifest.body, &manifest.items].into_iter().chain(cell_index)
}

/// The counts of a release, if it has any.
fn read_counts(
    folder: &Path,
    manifest: &ServerManifest,
    catalogue: &Catalogue,
) -> Result<Option<CountRows>, ArtifactError> {
    let Some(Counts { rows, .. }) = &manifest.counts else { return Ok(None) };
    let path = || folder.join(&rows.path);
    let counts = CountRows::from_bytes(read_verified(folder, rows)?)
        .map_err(|source| ArtifactError::Counts { path: path(), reason: source.to_string() })?;
    if counts.items() != catalogue.len() {
        let reason =
            format!("expected rows of {} items, found {}", catalogue.len(), counts.items());
        return Err(ArtifactError::Counts { path: path(), reason });
    }
    Ok(Some(counts))
}

/// SHA-256 of all files of a release by name, also of a release of another catalogue.
///
/// # Errors
/// If the manifest is missing or damaged.
pub(super) fn hashes_of_files(
    root: &Path,
    hash: &str,
) -> Result<HashMap<String, String>, ArtifactError> {
    let (bytes, manifest) = read_manifest(&root.join(hash).join("manifest.json"), hash)?;
    let counts = manifest.counts.as_ref().map(|counts| &counts.rows);
    let named = opaque_files(&manifest).chain([&manifest.rows]).chain(counts);
    let mut files: HashMap<_, _> =
        named.map(|artifact| (artifact.path.clone(), artifact.sha256.clone())).collect();
    files.insert("manifest.json".to_owned(), sha256_hex(&bytes));
    Ok(files)
}

/// Reads a file that the manifest names and verifies its hash.
fn read_verified(folder: &Path, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
    if !is_file_name(&artifact.path) {
        return Err(ArtifactError::Name { folder: folder.to_owned(), name: artifact.path.clone() });
    }
    let path = folder.join(&artifact.path);
    let bytes = read(&path)?;
    let found = sha256_hex(&bytes);
    if found == artifact.sha256 {
        Ok(bytes)
    } else {
        Err(ArtifactError::Damaged { path, expected: artifact.sha256.clone(), found })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ArtifactError> {
    fs::read(path).map_err(|source| ArtifactError::Unreadable { path: path.to_owned(), source })
}
