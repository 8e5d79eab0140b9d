//! `tandem train`: both models learn from the same logs, apart from each other (the first
//! strategy of the paper, `LSC4Rec` §3.1).

mod checkpoint;
mod fit;
mod journal;
mod lessons;
#[cfg(feature = "llama")]
mod llm;
mod options;
mod processor;
mod srm;
mod validation;

use anyhow::Result;
use clap::Subcommand;

/// Train a model.
#[derive(Subcommand, Debug)]
pub(crate) enum Train {
    /// The small model that re-ranks on the device.
    Srm(srm::TrainSrm),
    /// A language model whose words are the items, as a GGUF file.
    #[cfg(feature = "llama")]
    Llm(llm::TrainLlm),
}

#[cfg(feature = "llama")]
pub(crate) use llm::Storage;

pub(crate) fn run(train: &Train) -> Result<()> {
    match train {
        Train::Srm(args) => srm::run(args),
        #[cfg(feature = "llama")]
        Train::Llm(args) => llm::run(args),
    }
}
