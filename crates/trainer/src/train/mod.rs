//! `tandem train`: trains the small model or the language model on the logs (independent
//! training, `LSC4Rec` §3.1).

mod compute_device;
pub(crate) mod counts;
pub(crate) mod counts_part;
mod fit_targets;
#[cfg(feature = "llama")]
pub(crate) mod llm;
pub(crate) mod options;
mod report;
pub(crate) mod srm;
mod start;
mod text;
pub(crate) mod text_part;

use anyhow::Result;
use clap::Subcommand;

/// Train a model.
#[derive(Subcommand, Debug)]
pub(crate) enum Train {
    /// Train the small model that re-ranks on the device.
    Srm(srm::TrainSrm),
    /// Add a text part to the item rows of a small model.
    TextPart(text_part::TrainTextPart),
    /// Add co-occurrence counts to a small model.
    CountsPart(counts_part::TrainCountsPart),
    /// Count which items occur together.
    Counts(counts::TrainCounts),
    /// Train a language model of item tokens and write it as a GGUF file.
    #[cfg(feature = "llama")]
    Llm(llm::TrainLlm),
}

pub(crate) fn run(train: &Train) -> Result<()> {
    match train {
        Train::Srm(args) => srm::run(args),
        Train::TextPart(args) => text_part::run(args),
        Train::CountsPart(args) => counts_part::run(args),
        Train::Counts(args) => counts::run(args),
        #[cfg(feature = "llama")]
        Train::Llm(args) => llm::run(args),
    }
}
