//! `tandem evaluate`: measures models on held-out interactions.

mod charts;
mod paper;
mod rows;
mod session;
mod standard;
mod strata;
mod table;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum, builder::PossibleValue};
use tandem_evaluation::Part;

use crate::{
    failure::BadInput,
    search::{CellOptions, Search},
    values::{self, ADVANCED, BASIC, FILES, RESEARCH},
};

/// Options of `tandem evaluate`.
#[derive(Args, Debug)]
pub(crate) struct Evaluate {
    /// Evaluation protocol.
    #[arg(long, value_enum, help_heading = BASIC)]
    protocol: Protocol,
    /// Dataset folder of `tandem import`.
    #[arg(long, value_name = "FOLDER", help_heading = FILES)]
    data: PathBuf,
    /// Small model (.safetensors).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    srm: Option<PathBuf>,
    /// Language model (.gguf) to measure (standard).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    gguf: Option<PathBuf>,
    /// Ranking signals of `tandem fit-signals` beside the language model (standard).
    #[arg(long, value_name = "FOLDER", requires = "gguf", help_heading = FILES)]
    signals: Option<PathBuf>,
    /// Candidate lists of `tandem lists` (paper, session).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    lists: Option<PathBuf>,
    /// Calibration (JSON): learning (paper), fusion, policy and learning (session)
    /// [default: fitted on validation sessions].
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    calibration: Option<PathBuf>,
    /// Result rows (JSON), merged with the rows in the file.
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    json: Option<PathBuf>,
    /// Chart of the rows of --json, or of this run (.svg; paper, session).
    #[arg(long, value_name = "FILE", help_heading = FILES)]
    plot: Option<PathBuf>,
    /// Held-out targets: choose on validation, report on test (standard, paper).
    #[arg(long, value_enum, default_value_t = Targets::Test, help_heading = BASIC)]
    part: Targets,
    /// Call budgets: shares of targets or clicks with a call to the cloud (paper, session).
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = values::share)]
    #[arg(default_values_t = [0.0, 0.05, 0.1, 0.2, 0.5, 1.0], help_heading = BASIC)]
    budgets: Vec<f64>,
    /// What the device searches beside the list (paper, session).
    #[arg(long, value_enum, default_value_t = Search::None, help_heading = BASIC)]
    search: Search,
    #[command(flatten)]
    cells: CellOptions,
    /// Live clicks per session (session).
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::positive)]
    #[arg(help_heading = BASIC)]
    clicks: usize,
    /// Newest interactions of each user left out (session).
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = BASIC)]
    skip: usize,
    /// Training seed of the models, written to the rows; also the seed of random calls
    /// [default: 7 for random calls].
    #[arg(long, value_name = "N", help_heading = ADVANCED)]
    seed: Option<u64>,
    /// Training strategy of the small model, written to its rows, for example `cooperative`.
    #[arg(long, value_name = "NAME", help_heading = ADVANCED)]
    srm_variant: Option<String>,
    /// Suffix of the language model's row name `llm-…` (standard).
    #[arg(long, value_name = "NAME", default_value = "gguf", help_heading = ADVANCED)]
    variant: String,
    /// Measure without learning on the device only.
    #[arg(long, help_heading = ADVANCED)]
    no_learning: bool,
    /// Skip ranking the whole catalogue by the small model, which is slow for DIN (paper).
    #[arg(long, help_heading = ADVANCED)]
    lists_only: bool,
    /// Small model for fitting, not trained on the fitting clicks (session) [default: --srm].
    #[arg(long, value_name = "FILE", requires = "fit_lists", help_heading = RESEARCH)]
    fit_srm: Option<PathBuf>,
    /// Candidate lists for fitting, by a model not trained on the fitting clicks (session)
    /// [default: --lists].
    #[arg(long, value_name = "FILE", requires = "fit_srm", help_heading = RESEARCH)]
    fit_lists: Option<PathBuf>,
}

/// Evaluation protocols.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// Leave one out over the whole catalogue with the full history.
    Standard,
    /// Protocol of `LSC4Rec`: the language model has not seen the last two interactions, the
    /// device has.
    Paper,
    /// Each user's newest interactions as live clicks, run by the code of the device.
    Session,
}

/// Held-out targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Targets {
    /// Each user's second last item.
    Validation,
    /// Each user's last item.
    Test,
}

impl From<Targets> for Part {
    fn from(targets: Targets) -> Self {
        match targets {
            Targets::Validation => Self::Validation,
            Targets::Test => Self::Test,
        }
    }
}

impl Evaluate {
    /// An option that the protocol requires.
    fn need<'a>(&self, option: Option<&'a PathBuf>, name: &str) -> Result<&'a Path, BadInput> {
        let protocol = self.protocol.to_possible_value();
        let protocol = protocol.as_ref().map_or("this", PossibleValue::get_name);
        option
            .map(PathBuf::as_path)
            .ok_or_else(|| BadInput(format!("--protocol {protocol} needs --{name}")))
    }

    /// The budgets, ascending.
    fn budgets(&self) -> Vec<f64> {
        let mut budgets = self.budgets.clone();
        budgets.sort_by(f64::total_cmp);
        budgets.dedup();
        budgets
    }
}

pub(crate) fn run(args: &Evaluate) -> Result<()> {
    match args.protocol {
        Protocol::Standard => standard::run(args),
        Protocol::Paper => paper::run(args),
        Protocol::Session => session::run(args),
    }
}
