//! Skips steps that are up to date: the hash of a step's inputs and outputs is stored when it
//! succeeds, and compared the next time.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// SHA-256 of a file, as lower-case hexadecimal.
pub(crate) fn of_file(path: &Path) -> Result<String, Failure> {
    let mut file = File::open(path).map_err(Failure::file(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hexadecimal(&hash.finalize())),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::file(path)(error)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A hash of everything that a step depends on.
#[derive(Clone)]
pub(crate) struct Inputs(Sha256);

impl Inputs {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a text, such as a version or an argument.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// Adds the contents of a file, or its absence.
    pub(crate) fn file(self, path: &Path) -> Result<Self, Failure> {
        if path.is_file() { Ok(self.text(&of_file(path)?)) } else { Ok(self.text("absent")) }
    }

    /// Adds names and contents of all files below `folder`, except in folders named in
    /// `leave_out`. A missing folder counts as empty.
    pub(crate) fn folder(mut self, folder: &Path, leave_out: &[&str]) -> Result<Self, Failure> {
        for file in files_below(folder, leave_out)? {
            let name = file.strip_prefix(folder).unwrap_or(&file);
            self = self.text(&name.to_string_lossy()).file(&file)?;
        }
        Ok(self)
    }

    fn output(self, path: &Path) -> Result<Self, Failure> {
        if path.is_dir() { self.folder(path, &[]) } else { self.file(path) }
    }

    pub(crate) fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

fn files_below(folder: &Path, leave_out: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Failure::file(folder)(error)),
        };
        for entry in entries {
            let path = entry.map_err(Failure::file(&folder))?.path();
            if !path.is_dir() {
                found.push(path);
            } else if !leave_out.iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Hash of the inputs and outputs of a step.
fn state(inputs: &Inputs, outputs: &[PathBuf]) -> Result<String, Failure> {
    let all = outputs.iter().try_fold(inputs.clone(), |all, output| all.output(output))?;
    Ok(all.finish())
}

/// The stored hash of a step's last success.
#[derive(Debug)]
pub(crate) struct Stamp(PathBuf);

impl Stamp {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Calls `make`, which writes the files or folders `outputs`, unless it did so before with
    /// the same inputs and the outputs have not changed since.
    pub(crate) fn unless_done(
        &self,
        inputs: &Inputs,
        outputs: &[PathBuf],
        make: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.is_done(inputs, outputs)? {
            return Ok(());
        }
        self.forget();
        make()?;
        match outputs.iter().find(|output| !output.exists()) {
            Some(absent) => Err(Failure::Check(format!(
                "a step succeeded without writing {}: its program and xtask disagree about the path",
                absent.display()
            ))),
            None => self.store(&state(inputs, outputs)?),
        }
    }

    /// Whether [`Stamp::unless_done`] would do nothing.
    pub(crate) fn is_done(&self, inputs: &Inputs, outputs: &[PathBuf]) -> Result<bool, Failure> {
        Ok(outputs.iter().all(|output| output.exists()) && self.matches(&state(inputs, outputs)?))
    }

    pub(crate) fn matches(&self, inputs: &str) -> bool {
        fs::read_to_string(&self.0).is_ok_and(|stored| stored.trim() == inputs)
    }

    pub(crate) fn store(&self, inputs: &str) -> Result<(), Failure> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        }
        let unfinished = self.0.with_extension("new");
        fs::write(&unfinished, format!("{inputs}\n")).map_err(Failure::file(&unfinished))?;
        fs::rename(&unfinished, &self.0).map_err(Failure::file(&self.0))
    }

    pub(crate) fn forget(&self) {
        // A missing file is fine.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Inputs, Stamp, of_file};

    #[test]
    fn a_hash_equals_the_published_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        fs::write(&file, "abc").unwrap();
        // FIPS 180-2, example B.1.
        assert_eq!(
            of_file(&file).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_hash_depends_on_content_name_and_boundary_but_not_on_excluded_folders() {
        let folder = tempfile::tempdir().unwrap();
        let hash = || Inputs::new().folder(folder.path(), &["dist"]).map(Inputs::finish).unwrap();
        fs::create_dir(folder.path().join("dist")).unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        let first = hash();
        fs::write(folder.path().join("dist/b"), "2").unwrap();
        assert_eq!(hash(), first);
        fs::write(folder.path().join("a"), "2").unwrap();
        let second = hash();
        assert_ne!(second, first);
        fs::rename(folder.path().join("a"), folder.path().join("c")).unwrap();
        assert_ne!(hash(), second);
        let joined = |a: &str, b: &str| Inputs::new().text(a).text(b).finish();
        assert_ne!(joined("ab", "c"), joined("a", "bc"));
    }

    #[test]
    fn a_stamp_matches_only_the_stored_hash() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::at(folder.path().join("deep/step.stamp"));
        assert!(!stamp.matches("x"));
        stamp.store("x").unwrap();
        assert!(stamp.matches("x") && !stamp.matches("y"));
        stamp.forget();
        assert!(!stamp.matches("x"));
    }

    #[test]
    fn a_step_runs_again_when_inputs_or_outputs_change() {
        let folder = tempfile::tempdir().unwrap();
        let (stamp, output) = (Stamp::at(folder.path().join("s")), folder.path().join("out"));
        let outputs = [output.clone()];
        let times = std::cell::Cell::new(0);
        let step = |input: &str| {
            let inputs = Inputs::new().text(input);
            stamp
                .unless_done(&inputs, &outputs, || {
                    times.set(times.get() + 1);
                    fs::write(&output, "made").unwrap();
                    Ok(())
                })
                .unwrap();
            times.get()
        };
        assert_eq!([step("a"), step("a"), step("b")], [1, 1, 2]);
        fs::write(&output, "touched").unwrap();
        assert_eq!(step("b"), 3);
        fs::remove_file(&output).unwrap();
        assert_eq!(step("b"), 4);
        let failed = stamp.unless_done(&Inputs::new().text("c"), &outputs, || {
            Err(crate::failure::Failure::Interrupted)
        });
        assert!(failed.is_err());
        assert_eq!(step("b"), 5, "a failed step runs again");
    }
}
