//! `tandem export`: writes the artefacts that server and device load.

mod compressed;
mod file;
mod search;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tandem_dataset::{
    Catalogue, Dataset,
    files::{FolderDraft, sha256_hex},
};
use tandem_model::CountsPart;
use tandem_protocol::{
    CatalogueInfo, Counts, ItemId, MAX_POPULAR, Manifest, PROTOCOL_VERSION, SearchConfig,
};

use self::{
    compressed::compressed,
    file::{File, NAME_DIGITS},
    search::{SearchOptions, search_files},
};
use crate::{
    calibration::read_calibration,
    small_model::read_checkpoint,
    values::{BASIC, FILES},
    write_atomically,
};

/// Options of `tandem export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// Dataset folder that the model was trained on.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Small model (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: PathBuf,
    /// Folder of artefacts; the release is written to a subfolder named by its hash.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    out: PathBuf,
    /// Calibration of `tandem calibrate` (JSON) [default: built-in settings].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    calibration: Option<PathBuf>,
    /// Number of popular items in the manifest, at most 200.
    #[arg(long, value_name = "N", default_value_t = MAX_POPULAR, help_heading = BASIC)]
    popular: usize,
    #[command(flatten)]
    search: SearchOptions,
}

/// One entry of the `items` artefact.
#[derive(Serialize)]
struct ItemEntry<'a> {
    item: &'a ItemId,
    title: &'a str,
    year: Option<u16>,
    genres: &'a [String],
}

pub(crate) fn run(args: &Export) -> Result<()> {
    let dataset = Dataset::load(&args.data)?;
    let written = write(args, &dataset)?;
    // Written last, so that it always names a complete release.
    let current = args.out.join("current");
    write_atomically(&current, written.name.as_bytes())
        .with_context(|| format!("cannot write {}", current.display()))?;
    println!(
        "{}: {} files, {} bytes, now current",
        args.out.join(&written.name).display(),
        written.files,
        written.bytes
    );
    Ok(())
}

/// Name and content of all files of a release.
type Contents<'a> = Vec<(&'a str, &'a [u8])>;

/// A release that [`write()`] wrote.
pub(crate) struct WrittenRelease {
    /// Name of its folder.
    pub(crate) name: String,
    /// Number of files, with their compressed copies.
    files: usize,
    /// Bytes of the files that devices load.
    bytes: u64,
}

/// Writes the release of `dataset`, which is that of `--data`, without making it current.
pub(crate) fn write(args: &Export, dataset: &Dataset) -> Result<WrittenRelease> {
    let checkpoint = read_checkpoint(&args.srm, dataset)?;
    // Loading the weights here checks that a device can load them.
    let scorer = checkpoint.scorer().with_context(|| args.srm.display().to_string())?;
    let calibration = read_calibration(args.calibration.as_deref())?;

    let items = items_json(&dataset.catalogue)?;
    let (search, cell_files) = search_files(&args.search, dataset, &scorer, &checkpoint.items)?;
    let files = [
        File::new("body", "safetensors", checkpoint.body.as_slice()),
        File::new("rows", "bin", checkpoint.items.as_bytes()),
        File::new("items", "json", items.as_slice()),
    ];
    let (counts, count_file) = counts_file(checkpoint.counts, search.as_ref());
    let [body, rows, items] = files.each_ref().map(|file| file.artifact.clone());
    // Not of the cells: there are thousands, and a device loads a few of them.
    let copies = copies(files.iter().chain(&count_file))?;
    let files: Vec<File<'_>> = files.into_iter().chain(cell_files).chain(count_file).collect();
    let manifest = Manifest {
        version: PROTOCOL_VERSION,
        catalogue: CatalogueInfo {
            hash: dataset.catalogue.hash().to_owned(),
            items: dataset.catalogue.len(),
        },
        model: checkpoint.config,
        text: checkpoint.text,
        counts,
        language_model: calibration.language_model,
        body,
        rows,
        items,
        fusion: calibration.fusion,
        policy: calibration.policy,
        learning: calibration.learning,
        language_models: calibration.language_models,
        search,
        repeats: dataset.repeats,
        popular: popular(&dataset.catalogue, args.popular.min(MAX_POPULAR)),
    };
    let mut manifest = serde_json::to_vec_pretty(&manifest)?;
    manifest.push(b'\n');
    let name = sha256_hex(&manifest)[..NAME_DIGITS].to_owned();

    let release = args.out.join(&name);
    let contents: Contents<'_> = files
        .iter()
        .map(|file| (&*file.artifact.path, &*file.bytes))
        .chain(copies.iter().map(|(name, bytes)| (&**name, &**bytes)))
        .chain([("manifest.json", &*manifest)])
        .collect();
    if !is_intact(&release, &contents) {
        write_release(&release, &contents)?;
    }
    let bytes = files.iter().map(|file| file.artifact.bytes).sum();
    Ok(WrittenRelease { name, files: contents.len(), bytes })
}

/// Compressed copies of files, by name. A device verifies what it has decompressed, so the manifest
/// does not name them.
fn copies<'a>(files: impl Iterator<Item = &'a File<'a>>) -> Result<Vec<(String, Vec<u8>)>> {
    let copies = files.map(compressed).collect::<Result<Vec<_>, _>>();
    Ok(copies.context("cannot compress a file")?.into_iter().flatten().collect())
}

/// The counts for the manifest, and their file. A device with the whole item table loads the file;
/// one that searches in cells asks the server for the counts of its history. One that does not
/// search gets none.
fn counts_file(
    part: Option<CountsPart>,
    search: Option<&SearchConfig>,
) -> (Option<Counts>, Option<File<'static>>) {
    let Some(CountsPart { rows, weight }) = part else { return (None, None) };
    if search.is_none() {
        eprintln!(
            "the counts of the small model are left out: they are for devices that search (--search whole or cells)"
        );
        return (None, None);
    }
    let file = File::new("counts", "bin", rows.as_bytes().to_vec());
    (Some(Counts { rows: file.artifact.clone(), weight }), Some(file))
}

/// The items with the most interactions in the training part, ties by position.
fn popular(catalogue: &Catalogue, limit: usize) -> Vec<ItemId> {
    let mut items: Vec<_> = catalogue.items().iter().filter(|item| item.count > 0).collect();
    // Stable: items of equal count stay in the order of the catalogue.
    items.sort_by_key(|item| std::cmp::Reverse(item.count));
    items.into_iter().take(limit).map(|item| item.id.clone()).collect()
}

fn items_json(catalogue: &Catalogue) -> serde_json::Result<Vec<u8>> {
    let entries: Vec<ItemEntry<'_>> = catalogue
        .items()
        .iter()
        .map(|item| ItemEntry {
            item: &item.id,
            title: &item.title,
            year: item.year,
            genres: &item.genres,
        })
        .collect();
    serde_json::to_vec(&entries)
}

/// Whether the release exists already with equal bytes.
fn is_intact(release: &Path, contents: &Contents<'_>) -> bool {
    contents.iter().all(|(name, bytes)| fs::read(release.join(name)).is_ok_and(|it| it == *bytes))
}

fn write_release(release: &Path, contents: &Contents<'_>) -> Result<()> {
    let draft = FolderDraft::new(release)?;
    for (name, bytes) in contents {
        draft.write(name, |writer| writer.write_all(bytes))?;
    }
    Ok(draft.publish()?)
}
