//! Releases to upload, and a store whose objects can be damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tandem_release_store::{LocalCopy, LocalFile, ReleaseStore};
use tempfile::TempDir;

pub(crate) const FIRST: &str = "0000000000000001";
pub(crate) const SECOND: &str = "0000000000000002";
pub(crate) const THIRD: &str = "0000000000000003";
/// More than one part of an upload.
const MODEL_BYTES: usize = (8 << 20) + 12_345;

/// A store, and a folder in which releases are made.
pub(crate) struct Shop {
    url: String,
    pub(crate) store: ReleaseStore,
    pub(crate) home: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Shop {
    /// `url` is that of an empty store.
    pub(crate) fn new(url: &str) -> Self {
        let store = ReleaseStore::open(url.parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { url: url.to_owned(), store, home: tempfile::tempdir().unwrap(), runtime }
    }

    /// The files of a release, which is made if there is none: its artefacts are `hash`.
    pub(crate) fn files(&self, name: &str, hash: &str) -> Vec<LocalFile> {
        let release = format!("releases/{name}");
        let model: Vec<u8> = name.bytes().cycle().take(MODEL_BYTES).collect();
        let contents: [(String, &[u8]); 5] = [
            (format!("{release}/artifacts"), hash.as_bytes()),
            (format!("{release}/data/dataset.json"), b"{}"),
            (format!("{release}/language-model.gguf"), &model),
            (format!("artifacts/{hash}/manifest.json"), hash.as_bytes()),
            (format!("artifacts/{hash}/cells/{hash}"), b"cell"),
        ];
        let make = |(path, bytes): (String, &[u8])| {
            let file = self.home.path().join("workshop").join(&path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, bytes).unwrap();
            LocalFile { path, file, bytes: bytes.len() as u64 }
        };
        contents.into_iter().map(make).collect()
    }

    /// Uploads a release with artefacts of its own and puts it in use.
    pub(crate) fn publish(&self, name: &str) -> Option<String> {
        let files = self.files(name, &artifacts_of(name));
        self.store.upload_release(name, &files, &|_| ()).unwrap();
        self.store.activate(name).unwrap()
    }

    /// The copy in a folder of this name.
    pub(crate) fn copy(&self, name: &str) -> LocalCopy {
        let store = ReleaseStore::open(self.url.parse().unwrap()).unwrap();
        LocalCopy::open(store, &self.copy_folder(name)).unwrap()
    }

    pub(crate) fn copy_folder(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Replaces an object by what `change` makes of it, or deletes it.
    pub(crate) fn damage(&self, path: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let (store, prefix) = self.objects();
        let at = path.split('/').fold(prefix, object_store::path::Path::join);
        self.runtime.block_on(async {
            let bytes = store.get(&at).await.unwrap().bytes().await.unwrap().to_vec();
            match change(bytes) {
                Some(bytes) => drop(store.put(&at, PutPayload::from(bytes)).await.unwrap()),
                None => store.delete(&at).await.unwrap(),
            }
        });
    }

    /// Whether an object is in the store.
    pub(crate) fn has(&self, path: &str) -> bool {
        let (store, prefix) = self.objects();
        let at = path.split('/').fold(prefix, object_store::path::Path::join);
        self.runtime.block_on(async { store.head(&at).await.is_ok() })
    }

    fn objects(&self) -> (Box<dyn ObjectStore>, object_store::path::Path) {
        let of_store = |name: &str| ["AWS_", "AZURE_"].iter().any(|it| name.starts_with(it));
        let settings = std::env::vars().filter(|(name, _)| of_store(name));
        let settings = settings.map(|(name, value)| (name.to_lowercase(), value));
        object_store::parse_url_opts(&self.url.parse().unwrap(), settings).unwrap()
    }
}

/// The artefacts of a release that [`Shop::publish`] makes.
pub(crate) fn artifacts_of(name: &str) -> String {
    format!("a{}", &name[1..])
}

pub(crate) fn model_of(folder: &Path, name: &str) -> PathBuf {
    folder.join("releases").join(name).join("language-model.gguf")
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
