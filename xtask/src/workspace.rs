use std::{
    env,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// The folders that commands use.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    cache: PathBuf,
}

impl Workspace {
    /// Finds the checkout that `cargo xtask` was called in, or else the one that this program was
    /// built from, and the folders that the environment names.
    pub(crate) fn locate() -> Result<Self, Failure> {
        // Two checkouts may share a target folder; cargo may then run the other one's program.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file())
            .ok_or_else(|| {
                Failure::Machine(format!(
                    "there is no checkout at {}: run `cargo xtask` inside the checkout",
                    manifest.display()
                ))
            })?
            .to_owned();
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty());
        let cache = named("TANDEM_CACHE")
            .map(PathBuf::from)
            .or_else(|| named("XDG_CACHE_HOME").map(|cache| Path::new(&cache).join("tandem")))
            .or_else(|| named("HOME").map(|home| Path::new(&home).join(".cache/tandem")))
            .ok_or_else(|| {
                Failure::Machine("no folder for downloads: set TANDEM_CACHE to one".to_owned())
            })?;
        Ok(Self { root, target, cache })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the checkout.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A program that was built in the release profile.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// The stamp of a step, per checkout, because checkouts may share a target folder.
    pub(crate) fn stamp(&self, step: &str) -> crate::digest::Stamp {
        let checkout = crate::digest::Inputs::new().text(&self.root.to_string_lossy()).finish();
        crate::digest::Stamp::at(
            self.target.join("xtask").join(&checkout[..12]).join(format!("{step}.stamp")),
        )
    }

    /// Downloads, shared by all checkouts.
    pub(crate) fn assets(&self) -> PathBuf {
        self.cache.join("assets")
    }

    /// Screenshots and reports of browser tests.
    pub(crate) fn evidence(&self) -> PathBuf {
        self.target.join("e2e")
    }
}
