//! The folder that `tandem fit-signals` writes and the server reads.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use tandem_dataset::{
    Catalogue, counts::CountTable, files::FolderDraft, text_vectors::TextVectors,
};
use tandem_model::Checkpoint;

use super::{RankingSignals, SignalWeights, SmallModelTable};
use crate::{GeneratorError, gguf::GgufError};

/// The weights, JSON.
const WEIGHTS_FILE: &str = "signals.json";
/// The text vectors ([`TextVectors`]).
pub const TEXT_FILE: &str = "text.safetensors";
/// The counts ([`CountTable`]).
const COUNTS_FILE: &str = "counts.safetensors";

/// The small model ([`Checkpoint`]).
const SMALL_MODEL_FILE: &str = "small-model.safetensors";
/// The files of a folder. Those of signals that it lacks are missing.
pub const FILES: [&str; 4] = [WEIGHTS_FILE, TEXT_FILE, COUNTS_FILE, SMALL_MODEL_FILE];

/// Version of the folder. Version 1 had no small model.
const VERSION: u32 = 2;

/// Content of [`WEIGHTS_FILE`].
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    catalogue_hash: String,
    /// SHA-256 of the language model that the weights were fitted for.
    language_model_sha256: String,
    weights: SignalWeights,
    /// Newest items of each user that were not counted.
    hold_out: usize,
}

/// The signals of a folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignalParts<'a> {
    /// The text vectors.
    pub text: Option<&'a TextVectors>,
    /// The counts.
    pub counts: Option<&'a CountTable>,
    /// The small model.
    pub small_model: Option<&'a Checkpoint>,
}

/// What a folder is for.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalsInfo {
    /// The weights.
    pub weights: SignalWeights,
    /// SHA-256 of the language model that the weights were fitted for.
    pub language_model_sha256: String,
    /// Newest items of each user that were not counted.
    pub hold_out: usize,
}

impl SignalsInfo {
    /// Reads the weights of a folder.
    ///
    /// # Errors
    /// [`GeneratorError::Gguf`] if the file cannot be read, [`GeneratorError::Signals`] if it is
    /// no such file.
    pub fn read(folder: &Path) -> Result<Self, GeneratorError> {
        let Header { weights, language_model_sha256, hold_out, .. } = header(folder)?;
        Ok(Self { weights, language_model_sha256, hold_out })
    }
}

fn header(folder: &Path) -> Result<Header, GeneratorError> {
    let path = folder.join(WEIGHTS_FILE);
    let bytes = fs::read(&path).map_err(GgufError::read(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| signals_error(&path, &error))
}

impl RankingSignals {
    /// Writes the folder, atomically.
    ///
    /// # Errors
    /// [`GeneratorError::Signals`] if it cannot be written.
    pub fn write(
        folder: &Path,
        catalogue: &Catalogue,
        info: &SignalsInfo,
        parts: SignalParts<'_>,
    ) -> Result<(), GeneratorError> {
        let to_error = |error: tandem_dataset::DatasetError| signals_error(folder, &error);
        let draft = FolderDraft::new(folder).map_err(to_error)?;
        let header = Header {
            version: VERSION,
            catalogue_hash: catalogue.hash().to_owned(),
            language_model_sha256: info.language_model_sha256.clone(),
            weights: info.weights,
            hold_out: info.hold_out,
        };
        draft
            .write(WEIGHTS_FILE, |file| {
                serde_json::to_writer_pretty(&mut *file, &header)?;
                std::io::Write::write_all(file, b"\n")
            })
            .map_err(to_error)?;
        if let Some(text) = parts.text {
            text.write(&draft.path().join(TEXT_FILE)).map_err(to_error)?;
        }
        if let Some(counts) = parts.counts {
            counts.write(catalogue, &draft.path().join(COUNTS_FILE)).map_err(to_error)?;
        }
        if let Some(small_model) = parts.small_model {
            let bytes = small_model.to_bytes().map_err(|error| signals_error(folder, &error))?;
            draft
                .write(SMALL_MODEL_FILE, |file| std::io::Write::write_all(file, &bytes))
                .map_err(to_error)?;
        }
        draft.publish().map_err(to_error)
    }

    /// Reads the folder for a catalogue.
    ///
    /// # Errors
    /// [`GeneratorError::Gguf`] if the weights cannot be read, [`GeneratorError::Signals`] if a
    /// file is damaged or of another catalogue.
    pub fn read(folder: &Path, catalogue: &Catalogue) -> Result<Self, GeneratorError> {
        let (header, path) = (header(folder)?, folder.join(WEIGHTS_FILE));
        let expected = |expected: String, found: String| GeneratorError::Signals {
            path: path.clone(),
            message: format!("expected {expected}, found {found}"),
        };
        if !(1..=VERSION).contains(&header.version) {
            let versions = format!("a version from 1 to {VERSION}");
            return Err(expected(versions, header.version.to_string()));
        }
        if header.catalogue_hash != catalogue.hash() {
            return Err(expected("signals of this catalogue".into(), "those of another".into()));
        }
        if !header.weights.are_valid() {
            let text = "finite weights of at least 0 and a temperature above 0";
            return Err(expected(text.into(), format!("{:?}", header.weights)));
        }
        check_files(folder, &header.weights)?;
        let text_path = folder.join(TEXT_FILE);
        let text = text_path.exists().then(|| {
            let vectors = TextVectors::read(&text_path)?;
            vectors.check(catalogue, &text_path)?;
            Ok(vectors)
        });
        let text = text
            .transpose()
            .map_err(|error: tandem_dataset::DatasetError| signals_error(folder, &error))?;
        let counts_path = folder.join(COUNTS_FILE);
        let counts = counts_path
            .exists()
            .then(|| CountTable::read(catalogue, &counts_path))
            .transpose()
            .map_err(|error| signals_error(folder, &error))?;
        let mut signals = Self::new(header.weights, text.as_ref(), counts);
        signals.counts_file = signals.counts.is_some().then_some(counts_path);
        let small_model_path = folder.join(SMALL_MODEL_FILE);
        if small_model_path.exists() {
            let bytes = fs::read(&small_model_path).map_err(GgufError::read(&small_model_path))?;
            let small_model = Checkpoint::from_bytes(&bytes)
                .map_err(|error| signals_error(&small_model_path, &error))
                .and_then(|checkpoint| SmallModelTable::new(&checkpoint, catalogue))?;
            signals = signals.with_small_model(small_model);
        }
        signals.language_model_sha256 = Some(header.language_model_sha256);
        Ok(signals)
    }
}

/// Refuses a folder without the file of a signal whose weight is not 0.
fn check_files(folder: &Path, weights: &SignalWeights) -> Result<(), GeneratorError> {
    let files = [
        ("counts", weights.counts, COUNTS_FILE),
        ("text", weights.text, TEXT_FILE),
        ("small model", weights.small_model, SMALL_MODEL_FILE),
    ];
    for (signal, weight, file) in files {
        let path = folder.join(file);
        if weight != 0.0 && !path.exists() {
            let text = format!(
                "expected this file of the signal {signal}, whose weight is {weight}, found none"
            );
            return Err(signals_error(&path, &text));
        }
    }
    Ok(())
}

fn signals_error(path: &Path, error: &dyn std::fmt::Display) -> GeneratorError {
    GeneratorError::Signals { path: path.to_path_buf(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::{Item, ItemIndex, counts::CountOptions};

    use super::*;

    #[test]
    fn a_folder_is_of_one_catalogue_and_one_language_model() {
        let shop = |id: &str| Catalogue::new(vec![Item::untitled(id.into())]).unwrap();
        let weights = SignalWeights {
            language_model: 1.0,
            counts: 0.1,
            text: 0.0,
            small_model: 0.0,
            temperature: 1.5,
        };
        let mut counts = CountTable::new(1, CountOptions::default());
        counts.add(&[], ItemIndex(0), 5);
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("signals");
        let info = SignalsInfo { weights, language_model_sha256: "hash".to_owned(), hold_out: 2 };
        let parts = SignalParts { counts: Some(&counts), ..SignalParts::default() };
        RankingSignals::write(&folder, &shop("a"), &info, parts).unwrap();
        assert_eq!(SignalsInfo::read(&folder).unwrap(), info);
        let read = RankingSignals::read(&folder, &shop("a")).unwrap();
        assert_eq!((read.weights(), read.text().is_none()), (weights, true));
        assert_eq!(*read.counts().unwrap(), counts);

        let refusal =
            |result: Result<RankingSignals, GeneratorError>| result.unwrap_err().to_string();
        assert!(refusal(RankingSignals::read(&folder, &shop("b"))).contains("catalogue"));
        assert!(read.check_language_model("hash").is_ok());
        assert!(read.check_language_model("x").unwrap_err().to_string().contains("fitted for"));
        let bad = SignalWeights { text: -1.0, ..weights };
        let bad = SignalsInfo { weights: bad, ..info };
        RankingSignals::write(&folder, &shop("a"), &bad, SignalParts::default()).unwrap();
        assert!(RankingSignals::read(&folder, &shop("a")).is_err());
        assert!(RankingSignals::read(parent.path(), &shop("a")).is_err());
    }

    #[test]
    fn a_missing_file_is_named_unless_its_weight_is_zero() {
        let shop = Catalogue::new(vec![Item::untitled("a".into())]).unwrap();
        let none = SignalWeights {
            language_model: 1.0,
            counts: 0.0,
            text: 0.0,
            small_model: 0.0,
            temperature: 1.0,
        };
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("signals");
        let read = |weights| {
            let language_model_sha256 = "hash".to_owned();
            let info = SignalsInfo { weights, language_model_sha256, hold_out: 0 };
            RankingSignals::write(&folder, &shop, &info, SignalParts::default()).unwrap();
            RankingSignals::read(&folder, &shop)
        };
        read(none).unwrap();
        for (weights, file) in [
            (SignalWeights { counts: 1.4, ..none }, COUNTS_FILE),
            (SignalWeights { text: 1.4, ..none }, TEXT_FILE),
            (SignalWeights { small_model: 1.4, ..none }, SMALL_MODEL_FILE),
        ] {
            let said = read(weights).unwrap_err().to_string();
            let path = folder.join(file).display().to_string();
            for part in [path.as_str(), "weight is 1.4", "tandem fit-signals"] {
                assert!(said.contains(part), "{said}");
            }
        }
    }
}
