//! The steps from a log to a release: read, train both models, make lists, calibrate, measure,
//! train on everything, publish. `tandem quickstart` and `tandem retrain` are built from them; each step calls the
//! function of the subcommand that does the same by hand.
//!
//! The working folder holds what each step makes, and a file with a key for each step: a hash of
//! its inputs and options. A step is skipped while its key and its outputs are unchanged, so an
//! interrupted run continues where it stopped, and a second run does nothing.

mod forget;
mod held_out;
mod measure;
mod out;
mod page;
mod plan;
mod read;
mod release;
mod signals;
mod state;
mod texts;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tandem_collaboration::{Fusion, Trigger};
use tandem_dataset::Dataset;
use tandem_evaluation::{
    CandidateLists, SessionReplay, Sessions,
    fitting::{DecisionFit, FitChoices, HORIZON, RIDGE, fit_session},
};
use tandem_session::Settings;

pub(crate) use self::{
    forget::forget,
    held_out::test_prefixes,
    measure::{Measured, mean_and_error, ndcg10, paired_differences, together},
    out::claim,
    page::{Page, page, thousands},
    read::Inputs,
    release::Release,
};
use self::{
    forget::read_forgotten,
    held_out::HeldOut,
    plan::Plan,
    state::{Steps, key},
    texts::Texts,
};
use crate::{
    calibration::{CALL_BUDGET, Calibration, read_calibration, write_calibration},
    candidate_lists,
    export::{self, Export},
    lists::{self, Ranker},
    search::{CellOptions, Search},
    small_model::SmallModel,
    train::{
        llm::{self, TrainLlm},
        options::Display,
        srm::{self, TrainSrm},
    },
    values::parse,
    write_atomically,
};

/// Candidates per list, as many as a device gets by default.
pub(crate) const LIST: usize = 50;

/// Tried shares of the language model's fitted weight, the fitted one first.
const SHARES_OF_WEIGHT: [f32; 4] = [1.0, 0.5, 0.25, 0.0];

/// Name of a small model whose rows have no text part.
const OWN_SMALL_MODEL: &str = "small-model-without-texts.safetensors";

/// Folder of the models that were trained on everything.
const WHOLE: &str = "whole";

/// What is made, from what, and where.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Folder with the releases.
    pub(crate) out: &'a Path,
    /// Folder of the intermediate files, below `out`.
    pub(crate) work: PathBuf,
    pub(crate) inputs: &'a Inputs,
    /// Minutes of training, for both models together; by the size of the data if absent.
    pub(crate) minutes: Option<f64>,
    /// Release whose models the training continues from.
    pub(crate) start: Option<&'a Release>,
}

/// Two trained and calibrated models that are not published yet, and have not seen the held-out
/// interactions.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) dataset: Dataset,
    /// What was read, as text for people.
    pub(crate) read: String,
    pub(crate) held_out: HeldOut,
    pub(crate) measured: Measured,
    pub(crate) files: Files,
    plan: Plan,
    /// Changes if anything above changes.
    key: String,
    steps: Steps,
}

/// The files in the working folder.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) data: PathBuf,
    read: PathBuf,
    /// Text vectors of the items, with `--embedder`.
    text: PathBuf,
    /// The small model before texts are added to its rows, with `--embedder`.
    own_small_model: PathBuf,
    pub(crate) small_model: PathBuf,
    pub(crate) language_model: PathBuf,
    /// Counts and their weights beside the language model.
    pub(crate) signals: PathBuf,
    pub(crate) lists: PathBuf,
    pub(crate) calibration: PathBuf,
    measured: PathBuf,
    /// The models trained on everything, which are published.
    whole_own_small_model: PathBuf,
    whole_small_model: PathBuf,
    whole_language_model: PathBuf,
    whole_signals: PathBuf,
}

impl Files {
    fn of(work: &Path) -> Self {
        Self {
            data: work.join("data"),
            read: work.join("read.txt"),
            text: work.join("text.safetensors"),
            own_small_model: work.join(OWN_SMALL_MODEL),
            small_model: work.join(release::SMALL_MODEL),
            language_model: work.join(release::LANGUAGE_MODEL),
            signals: work.join(release::SIGNALS),
            lists: work.join("lists.jsonl"),
            calibration: work.join(release::CALIBRATION),
            measured: work.join("measured.json"),
            whole_own_small_model: work.join(WHOLE).join(OWN_SMALL_MODEL),
            whole_small_model: work.join(WHOLE).join(release::SMALL_MODEL),
            whole_language_model: work.join(WHOLE).join(release::LANGUAGE_MODEL),
            whole_signals: work.join(WHOLE).join(release::SIGNALS),
        }
    }
}

/// The dataset of a job, read again only if its files have changed.
pub(crate) struct Imported {
    dataset: Dataset,
    folder: PathBuf,
    read: String,
    key: String,
    steps: Steps,
}

impl Imported {
    /// The dataset folder.
    pub(crate) fn data(&self) -> &Path {
        &self.folder
    }

    /// Names of the users.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        self.dataset.sequences.iter().map(|sequence| sequence.user.as_str())
    }

    /// What was read and what was left out, in lines.
    pub(crate) fn read(&self) -> &str {
        &self.read
    }
}

/// Reads the log.
pub(crate) fn import(job: &Job<'_>) -> Result<Imported> {
    fs::create_dir_all(&job.work)
        .with_context(|| format!("cannot create {}", job.work.display()))?;
    let mut steps = Steps::open(&job.work);
    let files = Files::of(&job.work);
    let forgotten = read_forgotten(job.out)?;
    let read_key = key(&["read", &job.inputs.digest(&forgotten)?]);
    steps.run("reading the log", &read_key, &[&files.data, &files.read], &[], || {
        let name = job.out.file_name().unwrap_or(job.out.as_os_str()).to_string_lossy();
        let imported = job.inputs.read(&name, forgotten)?;
        imported.save(&files.data)?;
        write_text(&files.read, &format!("{}\n", imported.summary))
    })?;
    let dataset = Dataset::load(&files.data)?;
    let read = fs::read_to_string(&files.read)
        .with_context(|| format!("cannot read {}", files.read.display()))?;
    Ok(Imported { dataset, folder: files.data, read, key: read_key, steps })
}

/// Trains, calibrates and measures.
pub(crate) fn train(job: &Job<'_>, imported: Imported) -> Result<Trained> {
    let Imported { dataset, read, key: read_key, mut steps, .. } = imported;
    let files = Files::of(&job.work);
    let held_out = HeldOut::choose(&dataset)?;
    let plan = Plan::new(&dataset, job.minutes);
    let training_set = held_out.training_set(&dataset)?;
    let start = job.start.map_or_else(String::new, |release| release.name().to_owned());

    let texts = Texts::of(job.inputs.embedder(), &files)?;
    let text_key = key(&["texts", &read_key, texts.key()]);
    if let Some(embedder) = texts.embedder() {
        steps.run("embedding the texts", &text_key, &[&files.text], &[], || {
            texts::embed(embedder, &dataset, &files.text)
        })?;
    }

    let options = texts.for_training(plan.small_model(job.start));
    let mut small_key = key(&["small model", &text_key, &start, &options.join(" ")]);
    let model = texts.trained(&files.own_small_model, &files.small_model);
    steps.run("training the small model", &small_key, &[model], &[&checkpoint(model)], || {
        let mut args: TrainSrm = parse(with_files(&options, &files.data, model))?;
        args.fit.display = Display::OneBar;
        srm::train(&args, &training_set).map(drop)
    })?;
    if texts.embedder().is_some() {
        small_key = key(&["texts of the small model", &small_key]);
        let (own, model) = (&files.own_small_model, &files.small_model);
        steps.run("adding texts to the small model", &small_key, &[model], &[], || {
            texts::add_fitted(&files, &training_set, own, model)
        })?;
    }

    let options = texts.for_training(plan.language_model(job.start));
    let llm_key = key(&["language model", &text_key, &start, &options.join(" ")]);
    let model = &files.language_model;
    steps.run("training the language model", &llm_key, &[model], &[&checkpoint(model)], || {
        let mut args: TrainLlm = parse(with_files(&options, &files.data, &files.language_model))?;
        args.fit.display = Display::OneBar;
        llm::train(&args, &training_set).map(drop)
    })?;

    let signals_key = key(&["signals", &llm_key]);
    steps.run("weighing the counts", &signals_key, &[&files.signals], &[], || {
        signals::fit(&files, texts.embedder().is_some(), &training_set)
    })?;

    let lists_key = key(&["lists", &signals_key]);
    steps.run("listing candidates", &lists_key, &[&files.lists], &[&files.lists], || {
        let wanted = held_out.prefixes(&dataset);
        let ranker = Ranker { gguf: &files.language_model, signals: Some(&files.signals) };
        lists::make(ranker, &dataset, &wanted, LIST, &files.lists).map(drop)
    })?;

    let calibration_key = key(&["calibrate", &lists_key, &small_key]);
    steps.run("calibrating", &calibration_key, &[&files.calibration], &[], || {
        let lists = candidate_lists::load(&files.lists, &dataset)?;
        let calibration = calibrate(&files.small_model, &dataset, &lists, &held_out)?;
        write_calibration(&files.calibration, &calibration)
    })?;

    let measured_key = key(&["measure with a Markov chain", &calibration_key]);
    steps.run(
        "measuring on held-out interactions",
        &measured_key,
        &[&files.measured],
        &[],
        || {
            let lists = candidate_lists::load(&files.lists, &dataset)?;
            let model = calibrated_model(&files.small_model, &dataset, &files.calibration)?;
            let measured = measure::all(&dataset, &model, &lists, &held_out.test)?;
            write_text(&files.measured, &serde_json::to_string_pretty(&measured)?)
        },
    )?;
    let measured = fs::read_to_string(&files.measured)
        .with_context(|| format!("cannot read {}", files.measured.display()))?;
    let measured = serde_json::from_str(&measured)?;
    Ok(Trained { dataset, read, held_out, measured, files, plan, key: measured_key, steps })
}

/// Trains both models a little longer on everything, because visitors should get models that
/// know the newest interactions. Makes a release of them, and the release in use unless it has
/// been published before.
pub(crate) fn publish(job: &Job<'_>, trained: &mut Trained) -> Result<()> {
    let Trained { dataset, files, plan, key: trained_key, steps, .. } = trained;
    let whole = job.work.join(WHOLE);
    fs::create_dir_all(&whole).with_context(|| format!("cannot create {}", whole.display()))?;

    let texts = Texts::of(job.inputs.embedder(), files)?;
    let options = plan.refit_small_model(&files.small_model);
    let mut whole_key = key(&["whole", trained_key, &options.join(" ")]);
    let model = texts.trained(&files.whole_own_small_model, &files.whole_small_model);
    let name = "training the small model on everything";
    steps.run(name, &whole_key, &[model], &[&checkpoint(model)], || {
        let mut args: TrainSrm = parse(with_files(&options, &files.data, model))?;
        args.fit.display = Display::OneBar;
        srm::train(&args, dataset).map(drop)
    })?;
    if texts.embedder().is_some() {
        whole_key = key(&["texts of the whole small model", &whole_key]);
        let (own, model) = (&files.whole_own_small_model, &files.whole_small_model);
        let name = "adding texts to the small model trained on everything";
        steps.run(name, &whole_key, &[model], &[], || {
            texts::add_as_measured(files, dataset, own, model)
        })?;
    }

    let options = plan.refit_language_model(&files.language_model);
    let whole_key = key(&["whole", &whole_key, &options.join(" ")]);
    let model = &files.whole_language_model;
    let name = "training the language model on everything";
    steps.run(name, &whole_key, &[model], &[&checkpoint(model)], || {
        let mut args: TrainLlm = parse(with_files(&options, &files.data, model))?;
        args.fit.display = Display::OneBar;
        llm::train(&args, dataset).map(drop)
    })?;

    let whole_key = key(&["whole signals", &whole_key]);
    steps.run("counting everything", &whole_key, &[&files.whole_signals], &[], || {
        signals::count_everything(
            dataset,
            &files.signals,
            &files.whole_language_model,
            &files.whole_signals,
        )
    })?;

    let (pointer, artifacts) = (job.out.join(release::CURRENT), job.out.join(release::ARTIFACTS));
    let publish_key = key(&["publish", &whole_key]);
    steps.run("publishing", &publish_key, &[&pointer, &artifacts], &[], || {
        let mut options = with_files(&[], &files.data, &artifacts);
        let (model, calibration) = (&files.whole_small_model, &files.calibration);
        for (name, path) in [("--srm", model), ("--calibration", calibration)] {
            options.extend([name.into(), path.into()]);
        }
        let options: Export = parse(options)?;
        let exported = export::write(&options, dataset)?;
        Release::publish(job.out, files, &exported.name).map(drop)
    })
}

/// A small model with the settings of a calibration, on a device that searches.
pub(crate) fn calibrated_model(
    small_model: &Path,
    dataset: &Dataset,
    calibration: &Path,
) -> Result<SmallModel> {
    let calibration = read_calibration(Some(calibration))?;
    searching(small_model, dataset, &calibration)
}

/// A small model on a device that searches the whole catalogue.
fn searching(
    small_model: &Path,
    dataset: &Dataset,
    calibration: &Calibration,
) -> Result<SmallModel> {
    let model = SmallModel::read(small_model, dataset, calibration)?;
    model.with_search(Search::Whole, dataset, CellOptions::default())
}

/// Fits what the calibration sessions are long enough for: with a single click the fusion
/// alone, else also how the device learns and when it calls.
fn calibrate(
    small_model: &Path,
    dataset: &Dataset,
    lists: &CandidateLists,
    held_out: &HeldOut,
) -> Result<Calibration> {
    let mut calibration = Calibration::default();
    let model = searching(small_model, dataset, &calibration)?;
    let lists = held_out.calibration_lists(dataset, lists);
    let replay = model.replay(dataset, &lists);
    let sessions = replay.sessions(held_out.clicks, 1)?.learning(true);
    let decides = held_out.clicks > 1;
    let choices = FitChoices { fusion: true, learning: decides };
    let fit = fit_session(&replay, &sessions, &model.settings, choices)?;
    if decides {
        let decision = DecisionFit::fit(&replay, &sessions, &fit.settings, (HORIZON, RIDGE))?;
        // Lists with the whole catalogue say nothing about calls: the built-in rule stays.
        if let Some(decision) = decision {
            calibration.policy.trigger = Trigger::Uplift {
                threshold: decision.uplift_threshold(CALL_BUDGET)?,
                model: decision.model,
            };
        }
    }
    calibration.fusion = fit.settings.fusion;
    calibration.learning = fit.settings.learning;
    if decides {
        calibration.fusion = fusion_within_budget(&replay, &sessions, &model, &calibration)?;
    }
    Ok(calibration)
}

/// The fusion was fitted on lists of all ages alike. Within the call budget most lists are older,
/// so smaller weights of the language model are tried under the calibrated policy as well.
fn fusion_within_budget(
    replay: &SessionReplay<'_>,
    sessions: &Sessions,
    model: &SmallModel,
    calibration: &Calibration,
) -> Result<Fusion> {
    let mut best = (f64::NEG_INFINITY, calibration.fusion);
    for share in SHARES_OF_WEIGHT {
        let mut fusion = calibration.fusion;
        if let Fusion::Weighted { alpha, .. } = &mut fusion {
            *alpha *= share;
        }
        let settings = Settings {
            fusion,
            policy: calibration.policy,
            learning: calibration.learning.clone(),
            ..model.settings.clone()
        };
        let ndcg10 = replay.run(sessions, &settings, "fusion within the call budget")?.ndcg10;
        if ndcg10 > best.0 {
            best = (ndcg10, fusion);
        }
    }
    Ok(best.1)
}

/// Options of a subcommand with `--data` and `--out`.
fn with_files(options: &[String], data: &Path, out: &Path) -> Vec<std::ffi::OsString> {
    let files = [("--data", data), ("--out", out)];
    let files = files.into_iter().flat_map(|(name, path)| [name.into(), path.into()]);
    options.iter().map(Into::into).chain(files).collect()
}

/// The checkpoint that a training writes beside its model.
fn checkpoint(model: &Path) -> PathBuf {
    let mut path = model.as_os_str().to_owned();
    path.push(".checkpoint");
    path.into()
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
