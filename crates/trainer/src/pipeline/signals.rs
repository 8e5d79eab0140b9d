//! Co-occurrence counts and texts beside the language model.

use std::path::Path;

use anyhow::Result;
use tandem_dataset::{
    Dataset, counts::CountTable, files::sha256_hex_of_file, text_vectors::TextVectors,
};
use tandem_generator::ranking_signals::{RankingSignals, SignalParts, SignalsInfo, TEXT_FILE};

use super::{Files, with_files};
use crate::{
    fit_signals::{self, FitSignals},
    values::parse,
};

/// Fits the weights on what `training_set` holds out, and writes the folder of the signals with
/// the counts of the rest.
pub(super) fn fit(files: &Files, has_texts: bool, training_set: &Dataset) -> Result<()> {
    let options = ["--hold-out".to_owned(), "2".to_owned()];
    let mut options = with_files(&options, &files.data, &files.signals);
    options.extend(["--gguf".into(), files.language_model.as_os_str().to_owned()]);
    if has_texts {
        options.extend(["--text".into(), files.text.as_os_str().to_owned()]);
    }
    let options: FitSignals = parse(options)?;
    fit_signals::fit(&options, training_set).map(drop)
}

/// Writes the folder `out` with the weights of `fitted` and the counts of the whole dataset, for a
/// language model that continues the one that they were fitted for.
pub(super) fn count_everything(
    dataset: &Dataset,
    fitted: &Path,
    gguf: &Path,
    out: &Path,
) -> Result<()> {
    let info = SignalsInfo::read(fitted)?;
    let text = fitted.join(TEXT_FILE);
    let text = text.exists().then(|| TextVectors::read(&text)).transpose()?;
    let options = RankingSignals::read(fitted, &dataset.catalogue)?;
    let options = options.counts().map_or_else(Default::default, |counts| counts.options());
    let counts = CountTable::of_dataset(dataset, 0, options);
    let parts =
        SignalParts { text: text.as_ref(), counts: Some(&counts), ..SignalParts::default() };
    let language_model_sha256 = sha256_hex_of_file(gguf)?;
    let info = SignalsInfo { language_model_sha256, hold_out: 0, ..info };
    Ok(RankingSignals::write(out, &dataset.catalogue, &info, parts)?)
}
