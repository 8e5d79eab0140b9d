use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use tandem_dataset::{Dataset, files::FolderDraft};

use crate::{ReleaseClientError, read_line};

const BLOCK: u64 = 512;
/// An archive ends with two blocks of zeros.
const END: u64 = 2 * BLOCK;

/// What a server needs of a release, as a tar stream. Interactions of visitors, the models as they
/// were measured and the small model's checkpoint are not part of it.
#[derive(Debug)]
pub struct Archive {
    entries: Vec<Entry>,
    /// Holds the dataset without interactions; deleted with this.
    _dataset: FolderDraft,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Path in the archive.
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Archive {
    /// The release `name` of the folder `out`.
    ///
    /// # Errors
    /// [`ReleaseClientError`] if a file is missing or cannot be read.
    pub fn of(out: &Path, name: &str) -> Result<Self, ReleaseClientError> {
        let release = out.join("releases").join(name);
        let incomplete = |missing: &str| ReleaseClientError::Incomplete {
            folder: out.to_owned(),
            name: name.to_owned(),
            missing: missing.to_owned(),
        };
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name(name) || !release.is_dir() {
            return Err(incomplete("a folder of this name"));
        }
        let model = release.join("language-model.gguf");
        if !model.is_file() {
            return Err(incomplete("a language model"));
        }
        let hash = read_line(&release.join("artifacts"))?;
        let shared = out.join("artifacts").join(&hash);
        if !is_name(&hash) || !shared.is_dir() {
            return Err(incomplete("its artefacts"));
        }
        let draft = FolderDraft::new(&out.join("publish"))?;
        let data = draft.path().join("data");
        // The counts of the items stay: lists without a known history are ordered by them.
        let mut dataset = Dataset::load(&release.join("data"))?;
        dataset.sequences.clear();
        dataset.save(&data)?;

        let target = format!("releases/{name}");
        let mut entries = Vec::new();
        add_folder(&mut entries, &format!("{target}/data"), &data)?;
        add(&mut entries, format!("{target}/language-model.gguf"), &model)?;
        let signals = release.join("signals");
        if signals.is_dir() {
            add_folder(&mut entries, &format!("{target}/signals"), &signals)?;
        }
        add(&mut entries, format!("{target}/artifacts"), &release.join("artifacts"))?;
        add_folder(&mut entries, &format!("artifacts/{hash}"), &shared)?;
        Ok(Self { entries, _dataset: draft })
    }

    /// Length of the stream in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let entries = self.entries.iter();
        entries.map(|entry| BLOCK + entry.bytes.next_multiple_of(BLOCK)).sum::<u64>() + END
    }

    /// Path in the archive, file and size in bytes of each file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path, u64)> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.name.as_str(), entry.path.as_path(), entry.bytes))
    }

    /// The stream. A file that is shorter than it was fails.
    #[must_use]
    pub fn reader(&self) -> impl Read + use<> {
        let entries: VecDeque<Entry> = self.entries.iter().cloned().collect();
        ArchiveReader { entries, parts: VecDeque::new(), ended: false }
    }
}

fn add(entries: &mut Vec<Entry>, name: String, path: &Path) -> Result<(), ReleaseClientError> {
    let metadata = fs::metadata(path);
    let metadata =
        metadata.map_err(|source| ReleaseClientError::File { path: path.to_owned(), source })?;
    entries.push(Entry { name, path: path.to_owned(), bytes: metadata.len() });
    Ok(())
}

fn add_folder(entries: &mut Vec<Entry>, name: &str, path: &Path) -> Result<(), ReleaseClientError> {
    let failed = |source| ReleaseClientError::File { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.sort();
    for file in files {
        let own = file.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name}/{own}");
        if file.is_dir() {
            add_folder(entries, &name, &file)?;
        } else {
            add(entries, name, &file)?;
        }
    }
    Ok(())
}

/// Reads the entries one after another; at most one file is open.
struct ArchiveReader {
    entries: VecDeque<Entry>,
    parts: VecDeque<Part>,
    ended: bool,
}

enum Part {
    Bytes(Cursor<Vec<u8>>),
    /// A file and the number of its bytes that are not read yet.
    File(File, u64),
}

impl ArchiveReader {
    fn open_next(&mut self) -> io::Result<()> {
        let Some(Entry { name, path, bytes }) = self.entries.pop_front() else {
            self.ended = true;
            self.parts.push_back(Part::Bytes(Cursor::new(vec![0; END as usize])));
            return Ok(());
        };
        let mut header = tar::Header::new_gnu();
        header.set_path(&name)?;
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_cksum();
        let padding = bytes.next_multiple_of(BLOCK) - bytes;
        self.parts.push_back(Part::Bytes(Cursor::new(header.as_bytes().to_vec())));
        self.parts.push_back(Part::File(File::open(path)?, bytes));
        self.parts.push_back(Part::Bytes(Cursor::new(vec![0; padding as usize])));
        Ok(())
    }
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.parts.front_mut() {
                None if self.ended => return Ok(0),
                None => {
                    self.open_next()?;
                    continue;
                }
                Some(Part::Bytes(bytes)) => bytes.read(buffer)?,
                Some(Part::File(_, 0)) => 0,
                Some(Part::File(file, left)) => {
                    let read = file.take(*left).read(buffer)?;
                    *left -= read as u64;
                    if read == 0 && !buffer.is_empty() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    read
                }
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Catalogue, Item, ItemIndex, Sequence};

    use super::*;

    const NAME: &str = "0123456789abcdef";
    const HASH: &str = "00000000000000aa";

    fn write(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn recommender() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        let release = out.join("releases").join(NAME);
        let catalogue = Catalogue::new(vec![Item::untitled("a".into())]).unwrap();
        let sequence =
            Sequence { user: "ann".to_owned(), items: vec![ItemIndex(0); 5], times: None };
        let mut dataset = Dataset::new("shop", catalogue, vec![sequence], None).unwrap();
        dataset.repeats = true;
        dataset.save(&release.join("data")).unwrap();
        write(&release.join("language-model.gguf"), &[7; 1500]);
        write(&release.join("small-model.safetensors"), b"not sent");
        write(&release.join("measured/language-model.gguf"), b"not sent");
        write(&release.join("signals/counts.json"), b"{}");
        write(&release.join("artifacts"), HASH.as_bytes());
        write(&out.join("artifacts").join(HASH).join("manifest.json"), b"{}");
        let cell = "0".repeat(64);
        write(&out.join("artifacts").join(HASH).join("cells").join(cell), &[1; 512]);
        home
    }

    #[test]
    fn a_release_is_sent_without_interactions() {
        let home = recommender();
        let archive = Archive::of(home.path(), NAME).unwrap();
        let mut bytes = Vec::new();
        archive.reader().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, archive.bytes());
        let target = home.path().join("unpacked");
        tar::Archive::new(&*bytes).unpack(&target).unwrap();
        let mut names: Vec<String> = archive.entries.iter().map(|it| it.name.clone()).collect();
        names.sort();
        let cell = format!("artifacts/{HASH}/cells/{}", "0".repeat(64));
        let in_release = |file: &str| format!("releases/{NAME}/{file}");
        let mut expected = vec![
            cell.clone(),
            format!("artifacts/{HASH}/manifest.json"),
            in_release("artifacts"),
            in_release("data/catalogue.jsonl"),
            in_release("data/dataset.json"),
            in_release("data/sequences.jsonl"),
            in_release("language-model.gguf"),
            in_release("signals/counts.json"),
        ];
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(fs::read(target.join(in_release("language-model.gguf"))).unwrap(), [7; 1500]);
        assert_eq!(fs::read(target.join(cell)).unwrap(), [1; 512]);
        let sent = Dataset::load(&target.join(in_release("data"))).unwrap();
        let own = Dataset::load(&home.path().join(in_release("data"))).unwrap();
        assert_eq!(sent.catalogue.hash(), own.catalogue.hash());
        assert_eq!(sent.catalogue.get(ItemIndex(0)).count, 3);
        assert_eq!((sent.sequences.len(), own.sequences.len(), sent.repeats), (0, 1, true));
        drop(archive);
        let left = fs::read_dir(home.path()).unwrap().count();
        assert_eq!(left, 3, "a folder of the archive is left");
    }

    #[test]
    fn what_is_missing_is_named() {
        let home = recommender();
        let refused = |name: &str| Archive::of(home.path(), name).unwrap_err().to_string();
        assert!(refused("../releases").contains("a folder of this name"));
        assert!(refused("0000000000000000").contains("a folder of this name"));
        fs::remove_dir_all(home.path().join("artifacts")).unwrap();
        assert!(refused(NAME).contains("its artefacts"));
        fs::remove_file(home.path().join("releases").join(NAME).join("language-model.gguf"))
            .unwrap();
        assert!(refused(NAME).contains("a language model"));
    }

    #[test]
    fn a_file_that_became_shorter_fails() {
        let home = recommender();
        let archive = Archive::of(home.path(), NAME).unwrap();
        write(&home.path().join("releases").join(NAME).join("language-model.gguf"), b"short");
        let error = archive.reader().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
