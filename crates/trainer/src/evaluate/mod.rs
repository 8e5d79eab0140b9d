//! `tandem evaluate`: figures on held-out interactions.

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

use crate::failure::BadInput;

/// Options of `tandem evaluate`.
#[derive(Args, Debug)]
pub(crate) struct Evaluate {
    /// What is asked of the models.
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Dataset folder, as `tandem import` wrote it.
    #[arg(long)]
    data: PathBuf,
    /// Which targets: choose on validation, report on test (standard, paper).
    #[arg(long, value_enum, default_value_t = Targets::Test)]
    part: Targets,
    /// A trained small model (.safetensors).
    #[arg(long)]
    srm: Option<PathBuf>,
    /// How the small model was trained, to be written into its rows where several ways are
    /// compared, for instance `cooperative`.
    #[arg(long)]
    srm_variant: Option<String>,
    /// A language model (.gguf) to measure beside the baselines, its history removed
    /// (standard).
    #[arg(long)]
    gguf: Option<PathBuf>,
    /// What the language model's row is called, after `llm-` (standard).
    #[arg(long, default_value = "gguf")]
    variant: String,
    /// The seed that the models were trained with, to be written into their rows; random
    /// calls are drawn by it (7 if absent).
    #[arg(long)]
    seed: Option<u64>,
    /// Add the rows to this file; those measured again take the place of the older ones.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the rows of `--json`, or of this run without it (an .svg file; paper, session).
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Candidate lists made by `tandem lists` (paper, session).
    #[arg(long)]
    lists: Option<PathBuf>,
    /// Fusion, policy and learning as for `tandem export` (paper: learning; session: all).
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Shares of targets or clicks that may call the cloud (paper, session).
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.05, 0.1, 0.2, 0.5, 1.0])]
    budgets: Vec<f64>,
    /// A small model that knows nothing of the clicks before those that are tested, to choose
    /// on them, where `--srm` may have learnt from them (session; `--srm` if absent).
    #[arg(long, requires = "fit_lists")]
    fit_srm: Option<PathBuf>,
    /// Lists for these clicks by a language model that knows nothing of them either (session;
    /// `--lists` if absent).
    #[arg(long, requires = "fit_srm")]
    fit_lists: Option<PathBuf>,
    /// Live clicks a session (session).
    #[arg(long, default_value_t = 10)]
    clicks: usize,
    /// Newest interactions left out (session).
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// The device does not learn (paper: no rows where it does).
    #[arg(long)]
    no_learning: bool,
    /// Do not rank the whole catalogue by the small model alone: with DIN that weighs every
    /// history anew for every item (paper).
    #[arg(long)]
    lists_only: bool,
}

/// The protocols.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// Leave one out, whole catalogue, full history: as published figures are made.
    Standard,
    /// That of `LSC4Rec`: a language model that has not seen the last two interactions, and a
    /// device that has.
    Paper,
    /// Each user's newest interactions as live clicks, answered by the device's own code.
    Session,
}

/// The held-out targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Targets {
    /// Each user's last item but one.
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
    /// An option that a protocol cannot do without.
    fn need<'a>(&self, option: Option<&'a PathBuf>, name: &str) -> Result<&'a Path, BadInput> {
        let protocol = self.protocol.to_possible_value();
        let protocol = protocol.as_ref().map_or("this", PossibleValue::get_name);
        option
            .map(PathBuf::as_path)
            .ok_or_else(|| BadInput(format!("--protocol {protocol} needs --{name}")))
    }

    /// The budgets, ascending.
    fn budgets(&self) -> Result<Vec<f64>, BadInput> {
        if let Some(wrong) = self.budgets.iter().find(|budget| !(0.0..=1.0).contains(*budget)) {
            let text = format!("--budgets: expected shares from 0 to 1, found {wrong}");
            return Err(BadInput(text));
        }
        let mut budgets = self.budgets.clone();
        budgets.sort_by(f64::total_cmp);
        budgets.dedup();
        Ok(budgets)
    }
}

pub(crate) fn run(args: &Evaluate) -> Result<()> {
    match args.protocol {
        Protocol::Standard => standard::run(args),
        Protocol::Paper => paper::run(args),
        Protocol::Session => session::run(args),
    }
}
