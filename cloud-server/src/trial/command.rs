use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use tandem_dataset::{Dataset, DatasetError};
use tandem_generator::{GeneratorError, LoadOptions, llama::try_model};

use super::option;
use crate::priority::yield_to_requests;

/// The first argument of the program in a process that tries a model.
pub(super) const SUBCOMMAND: &str = "try-model";
/// Exit status if the model is refused; the reason is one line on stdout.
pub(super) const REFUSED: i32 = 2;

/// Loads a language model and makes a list, to see whether the process survives. The server
/// starts this itself.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct TrialCommand {
    /// The GGUF file.
    #[arg(long)]
    gguf: PathBuf,
    /// The dataset folder.
    #[arg(long)]
    data: PathBuf,
    /// Threads of the language model.
    #[arg(long)]
    threads: usize,
    /// Read the file instead of mapping it.
    #[arg(long)]
    no_mmap: bool,
}

/// Why a model is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrialFailure {
    /// The catalogue cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] GeneratorError),
}

impl TrialCommand {
    /// The exit status of a process that refuses the model.
    pub const REFUSED: u8 = REFUSED as u8;

    /// Whether the first argument of a program is this command's name.
    #[must_use]
    pub fn is_named(argument: &std::ffi::OsStr) -> bool {
        argument == SUBCOMMAND
    }

    pub(super) fn new(gguf: &Path, data: &Path, options: &LoadOptions) -> Self {
        let LoadOptions { threads, mapped, .. } = *options;
        Self { gguf: gguf.to_owned(), data: data.to_owned(), threads, no_mmap: !mapped }
    }

    /// Makes a command of this program run the trial.
    pub(super) fn add_to(&self, command: &mut Command) {
        command.arg(SUBCOMMAND);
        option(command, "--gguf", &self.gguf);
        option(command, "--data", &self.data);
        option(command, "--threads", self.threads.to_string());
        if self.no_mmap {
            command.arg("--no-mmap");
        }
        // Otherwise llama.cpp starts a debugger when it aborts.
        command.env("GGML_NO_BACKTRACE", "1");
    }

    /// Tries the model in this process, which may abort.
    ///
    /// # Errors
    /// [`TrialFailure`] if the catalogue cannot be read or the model cannot be used.
    pub fn run(&self) -> Result<(), TrialFailure> {
        yield_to_requests();
        let catalogue = Arc::new(Dataset::load_catalogue(&self.data)?);
        let options =
            LoadOptions { threads: self.threads, mapped: !self.no_mmap, ..LoadOptions::default() };
        Ok(try_model(&self.gguf, &catalogue, &options)?)
    }
}
