use std::path::{Path, PathBuf};

use tandem_release_store::StoreUrl;

use super::{
    Args, ReleasePlace,
    args::{ALL_TRACES, RELEASE_MAX_MIB, SHARED_ITEMS},
};
use crate::{events::MAX_FILE_BYTES, models::ModelFile};

/// Where the catalogue, the artefacts and the language models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Dataset folder, artefact folder, language models and ranking signals of the first one.
    Files { data: PathBuf, artifacts: PathBuf, gguf: Vec<ModelFile>, signals: Option<PathBuf> },
    /// A folder of `tandem quickstart`, or the copy of an object store: `releases/<name>/` with `data/`, `language-model.gguf`
    /// and a file `artifacts` that names a folder of `artifacts/`; `current` names the release
    /// in use.
    Release(PathBuf),
}

/// Options that do not fit together, wherever they were set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Neither a folder of releases nor all of its parts are given.
    #[error("expected --release, or --data, --artifacts and --gguf; found no {missing}")]
    Missing {
        /// The options that are not set.
        missing: String,
    },
    /// An option gives a part that each release has.
    #[error(
        "--release cannot be used together with {other}, because each release has {part} of its own; leave {other} out, or leave --release out and give --data, --artifacts and --gguf, the folders of `tandem import` and `tandem export` and the file of a language model"
    )]
    InRelease {
        /// The option.
        other: &'static str,
        /// The part.
        part: &'static str,
    },
    /// Two options exclude each other.
    #[error("{one} and {other} cannot be used together; leave one of them out")]
    Both {
        /// An option.
        one: &'static str,
        /// Another one.
        other: &'static str,
    },
    /// A server is given twice.
    #[error("{option} {value} is given twice; leave one of them out")]
    Twice {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// An option needs another one.
    #[error("{one} needs {other}; give both or neither")]
    Needs {
        /// An option.
        one: &'static str,
        /// The missing one.
        other: &'static str,
    },
}

const STORE_NEEDS_CACHE: OptionsError = OptionsError::Needs {
    one: "--release with the URL of an object store",
    other: "--release-cache",
};

impl Args {
    /// Where the parts come from.
    ///
    /// # Errors
    /// [`OptionsError`] if the options name no source, or two.
    pub(crate) fn source(&self) -> Result<Source, OptionsError> {
        let Self { release, data, artifacts, gguf, signals, generator, .. } = self;
        let has_generators = !generator.is_empty();
        let parts = [
            ("--data", data.is_some()),
            ("--artifacts", artifacts.is_some()),
            ("--gguf", !gguf.is_empty()),
        ];
        if has_generators && !gguf.is_empty() {
            return Err(OptionsError::Both { one: "--generator", other: "--gguf" });
        }
        if let Some(place) = release {
            let folder = match place {
                ReleasePlace::Folder(folder) => folder.clone(),
                ReleasePlace::Store(_) => self.release_cache.clone().ok_or(STORE_NEEDS_CACHE)?,
            };
            let in_release = [
                ("--data", "a dataset", data.is_some()),
                ("--artifacts", "artefacts", artifacts.is_some()),
                ("--gguf", "a language model", !gguf.is_empty()),
                ("--signals", "ranking signals", signals.is_some()),
            ];
            return match in_release.into_iter().find(|(.., is_set)| *is_set) {
                Some((other, part, _)) => Err(OptionsError::InRelease { other, part }),
                None => Ok(Source::Release(folder)),
            };
        }
        match (data, artifacts) {
            (Some(data), Some(artifacts)) if has_generators || !gguf.is_empty() => {
                Ok(Source::Files {
                    data: data.clone(),
                    artifacts: artifacts.clone(),
                    gguf: gguf.clone(),
                    signals: signals.clone(),
                })
            }
            _ => {
                let is_needed = |name: &str| name != "--gguf" || !has_generators;
                let missing = parts.into_iter().filter(|(name, it)| !it && is_needed(name));
                let missing: Vec<_> = missing.map(|(name, _)| name).collect();
                Err(OptionsError::Missing { missing: missing.join(", ") })
            }
        }
    }

    /// The object store of `--release` and the folder of its copy, if the releases are in one.
    pub(crate) fn release_store(&self) -> Option<(&StoreUrl, &Path)> {
        match (&self.release, &self.release_cache) {
            (Some(ReleasePlace::Store(url)), Some(folder)) => Some((url, folder)),
            _ => None,
        }
    }

    /// Checks what the options say together.
    ///
    /// # Errors
    /// [`OptionsError`] for the first options that do not fit together.
    pub(super) fn check_together(&self) -> Result<(), OptionsError> {
        if self.site.is_some() && self.client.is_some() {
            return Err(OptionsError::Both { one: "--site", other: "--client" });
        }
        if self.store_events && self.events.is_some() {
            return Err(OptionsError::Both { one: "--events", other: "--store-events" });
        }
        if self.keys.is_some() && self.stored_keys {
            return Err(OptionsError::Both { one: "--keys", other: "--stored-keys" });
        }
        if self.embedder.is_some() && !self.generator.is_empty() {
            return Err(OptionsError::Both { one: "--embedder", other: "--generator" });
        }
        let mut others = self.generator.iter();
        while let Some(generator) = others.next() {
            if others.as_slice().contains(generator) {
                let value = generator.to_string();
                return Err(OptionsError::Twice { option: "--generator", value });
            }
        }
        // Options with a default count as set if they have another value.
        let dependent = [
            (
                "--events-max-size",
                self.events_max_bytes() != MAX_FILE_BYTES,
                "--events",
                self.events.is_some(),
            ),
            (
                "--release-max-size",
                self.release_max_size != RELEASE_MAX_MIB,
                "--release",
                self.release.is_some(),
            ),
            (
                "--release-cache",
                self.release_cache.is_some(),
                "--release with the URL of an object store",
                matches!(self.release, Some(ReleasePlace::Store(_))),
            ),
            (
                "--otlp-sample",
                self.otlp_sample != ALL_TRACES,
                "--otlp-endpoint",
                self.otlp_endpoint.is_some(),
            ),
            (
                "--generator-key",
                self.generator_key.is_some(),
                "--generator",
                !self.generator.is_empty(),
            ),
            ("--shared-lists", self.shared_lists.is_some(), "--redis", self.redis.is_some()),
            (
                "--shared-lists-items",
                self.shared_lists_items != SHARED_ITEMS,
                "--shared-lists",
                self.shared_lists.is_some(),
            ),
            ("--store-events", self.store_events, "--storage", self.storage.is_some()),
            ("--stored-keys", self.stored_keys, "--storage", self.storage.is_some()),
            ("--event-stream", self.event_stream.is_some(), "--store-events", self.store_events),
            ("--embedder", self.embedder.is_some(), "--storage", self.storage.is_some()),
            (
                "--keep-events-days",
                self.keep_events_days.is_some(),
                "--store-events",
                self.store_events,
            ),
            (
                "--keep-events-size",
                self.keep_events_size.is_some(),
                "--store-events",
                self.store_events,
            ),
        ];
        for (one, is_set, other, has_other) in dependent {
            if is_set && !has_other {
                return Err(OptionsError::Needs { one, other });
            }
        }
        self.source().map(drop)
    }
}
