//! From the log to exported artefacts, with the `tandem` command.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    assets::Assets,
    cargo,
    digest::{Inputs, Stamp},
    failure::Failure,
    held_out::{self, Parts},
    process::Program,
    progress::say,
    workspace::Workspace,
};

const NAME: &str = "ml-100k";

/// Stem of the demo's files in `data`. Its log is that of [`NAME`] without some visitors.
const DEMO: &str = "demo";

/// Citation and terms, shown with the data.
const NOTICE: &str = "MovieLens 100K, collected by GroupLens Research at the University of \
    Minnesota. F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History \
    and Context. ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. \
    https://doi.org/10.1145/2827872. For research use; not to be redistributed without \
    permission, nor used commercially, and without any endorsement by the University of \
    Minnesota or GroupLens.";

/// How long the two models are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Training {
    /// As long as a visitor may wait for the first page.
    Brief,
    /// As long as it makes the models better.
    Full,
}

impl Training {
    /// Stem of the files in `data`, and of the stamps.
    fn stem(self) -> &'static str {
        match self {
            Self::Brief => "demo-brief",
            Self::Full => DEMO,
        }
    }

    /// Time limit of each model in minutes.
    fn minutes(self) -> &'static str {
        match self {
            Self::Brief => "0.5",
            Self::Full => "3",
        }
    }

    /// Options of the small model. Fixed time limit and seed, so that all machines train alike.
    fn of_small_model(self) -> String {
        format!("--minutes {} --seed 7", self.minutes())
    }

    /// Options of the item-token language model; docs/quality.md has its figures.
    fn of_language_model(self) -> String {
        format!("--minutes {} {LANGUAGE_MODEL_TRAINING}", self.minutes())
    }

    fn stamp(self, workspace: &Workspace, step: &str) -> Stamp {
        match self {
            Self::Brief => workspace.stamp(&format!("{step}-brief")),
            Self::Full => workspace.stamp(step),
        }
    }
}

/// Training options of the item-token language model beside its time limit.
const LANGUAGE_MODEL_TRAINING: &str = "--seed 7 --loss full --untied --co-occurrence --row-std 0.1 --batch 512 --learning-rate 1e-3 --row-rate 2e-3 --dropout 0.3 --average 3";

/// Names of the language models on the server. The first is the default; it was chosen on
/// validation sessions (docs/quality.md).
const ITEM_TOKENS: &str = "MovieLens-items";
const TITLES: &str = "SmolLM2-135M";

/// Files that the server is started with.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) data: PathBuf,
    pub(crate) artifacts: PathBuf,
    /// Visitors whom the models were not trained on (JSON).
    pub(crate) visitors: PathBuf,
    /// Name and file of each language model, the default first.
    pub(crate) language_models: [(&'static str, PathBuf); 2],
}

impl Prepared {
    /// The text model, which generates titles.
    pub(crate) fn text_model(&self) -> &Path {
        &self.language_models[1].1
    }
}

/// Imports, trains and exports, each only if its inputs have changed. `tandem` must be built.
pub(crate) fn prepare(
    workspace: &Workspace,
    assets: &Assets,
    training: Training,
) -> Result<Prepared, Failure> {
    let data = workspace.at("data").join(DEMO);
    let Models { small: model, language: items } = Models::of(workspace, training);
    let log = workspace.at("data").join(format!("{DEMO}.inter"));
    let visitors = workspace.at("data").join("visitors.json");
    let artifacts = workspace.at("artifacts");
    let tandem = |what: &str| {
        Program::new(what, workspace.program("tandem"))
            .dir(workspace.root())
            .env("OMP_WAIT_POLICY", "passive")
    };
    let program = Inputs::new().file(&workspace.program("tandem"))?;

    // The division is an input: another one needs other files.
    let whole = Inputs::new().text(&held_out::division()).file(&assets.interactions)?;
    let parts = Parts {
        training: log.clone(),
        calibration: workspace.at("data").join(format!("{DEMO}-calibration.inter")),
        visitors: visitors.clone(),
    };
    let written = [log.clone(), parts.calibration.clone(), visitors.clone()];
    workspace.stamp("held-out").unless_done(&whole, &written, || {
        let folder = workspace.at("data");
        fs::create_dir_all(&folder).map_err(Failure::file(&folder))?;
        held_out::split(&assets.interactions, &parts)
    })?;
    let logs = program.clone().text(NOTICE).file(&log)?.file(&assets.items)?;
    workspace.stamp("import").unless_done(&logs, std::slice::from_ref(&data), || {
        say("Importing", NAME);
        tandem("tandem import")
            .args(["import", "--name", NAME, "--notice", NOTICE, "--events"])
            .arg(&log)
            .arg("--catalogue")
            .arg(&assets.items)
            .arg("--out")
            .arg(&data)
            .run()
    })?;

    // The program is not an input: training takes minutes, and most changes of the program do
    // not affect it. After a change of training, remove the model file to train again.
    let dataset = Inputs::new().folder(&data, &[])?;
    let options = training.of_small_model();
    let inputs = dataset.clone().text(&options);
    training.stamp(workspace, "train").unless_done(
        &inputs,
        std::slice::from_ref(&model),
        || {
            say("Training", format!("SASRec, at most {} minutes", training.minutes()));
            tandem("tandem train srm")
                .args(["train", "srm"])
                .args(options.split(' '))
                .arg("--data")
                .arg(&data)
                .arg("--out")
                .arg(&model)
                .run()
        },
    )?;

    let options = training.of_language_model();
    let inputs = dataset.text(&options);
    training.stamp(workspace, "train-llm").unless_done(
        &inputs,
        std::slice::from_ref(&items),
        || {
            let minutes = training.minutes();
            say("Training", format!("the item-token language model, at most {minutes} minutes"));
            tandem("tandem train llm")
                .args(["train", "llm"])
                .args(options.split(' '))
                .arg("--data")
                .arg(&data)
                .arg("--out")
                .arg(&items)
                .run()
        },
    )?;

    let calibration = calibrate(workspace, assets, training, &parts.calibration)?;
    // One folder for both, so that a page with the briefly trained model still finds its files. The
    // file `current` tells which was exported last.
    let exported = program.folder(&data, &[])?.file(&model)?.file(&calibration)?;
    workspace.stamp("export").unless_done(&exported, std::slice::from_ref(&artifacts), || {
        say("Exporting", "artefacts");
        tandem("tandem export")
            .arg("export")
            .arg("--data")
            .arg(&data)
            .arg("--srm")
            .arg(&model)
            .arg("--calibration")
            .arg(&calibration)
            .arg("--out")
            .arg(&artifacts)
            .run()
    })?;
    let language_models = [(ITEM_TOKENS, items), (TITLES, assets.language_model(workspace)?)];
    Ok(Prepared { data, artifacts, visitors, language_models })
}

/// Fits fusion and decision to these models, on visitors that neither has seen. The decision fits
/// the models that it was learnt with: with others the rule calls at another rate.
fn calibrate(
    workspace: &Workspace,
    assets: &Assets,
    training: Training,
    log: &Path,
) -> Result<PathBuf, Failure> {
    let Models { small, language } = Models::of(workspace, training);
    let (small_model, language_model) = (&*small, &*language);
    // What is not fitted: how the device learns, and the settings for the text model.
    let start = workspace.at("xtask/calibration").join(format!("{NAME}.json"));
    let file = |name: &str| workspace.at("data").join(format!("{}-{name}", training.stem()));
    let (data, lists, out) =
        (file("calibration"), file("calibration.jsonl"), file("calibration.json"));
    let clicks = held_out::SESSION.to_string();
    let inputs = Inputs::new()
        .text(&clicks)
        .file(&workspace.program("tandem"))?
        .file(&start)?
        .file(log)?
        .file(small_model)?
        .file(language_model)?;
    training.stamp(workspace, "calibrate").unless_done(
        &inputs,
        std::slice::from_ref(&out),
        || {
            say("Calibrating", "the decision about calls");
            let tandem = |command: &str, options: &[(&str, &Path)]| {
                let program =
                    Program::new(format!("tandem {command}"), workspace.program("tandem"))
                        .dir(workspace.root())
                        .env("OMP_WAIT_POLICY", "passive")
                        .arg(command);
                options.iter().fold(program, |program, (name, path)| program.arg(name).arg(path))
            };
            let imported = [("--events", log), ("--catalogue", &*assets.items), ("--out", &*data)];
            tandem("import", &imported).args(["--name", NAME]).run()?;
            // Lists of earlier models would be kept.
            if lists.exists() {
                fs::remove_file(&lists).map_err(Failure::file(&lists))?;
            }
            let listed = [("--gguf", language_model), ("--data", &*data), ("--out", &*lists)];
            // Lists are made for twice the clicks: another half for validation.
            let half = (held_out::SESSION / 2).to_string();
            tandem("lists", &listed).args(["--clicks", &half]).run()?;
            let fitted = [
                ("--calibration", &*start),
                ("--data", &*data),
                ("--srm", small_model),
                ("--lists", &*lists),
                ("--out", &*out),
            ];
            tandem("calibrate", &fitted)
                .args(["--clicks", &clicks, "--skip", "0", "--keep-learning"])
                .run()
        },
    )?;
    Ok(out)
}

/// Builds the programs and runs [`prepare`] with the full training.
pub(crate) fn build_and_prepare(
    workspace: &Workspace,
    assets: &Assets,
) -> Result<Prepared, Failure> {
    cargo::build_programs(workspace)?;
    prepare(workspace, assets, Training::Full)
}

/// Whether the full training would do nothing.
pub(crate) fn is_trained(workspace: &Workspace) -> Result<bool, Failure> {
    let Models { small, language } = Models::of(workspace, Training::Full);
    let dataset = Inputs::new().folder(&workspace.at("data").join(DEMO), &[])?;
    let is_done = |step: &str, options: &str, model: PathBuf| {
        workspace.stamp(step).is_done(&dataset.clone().text(options), &[model])
    };
    Ok(is_done("train", &Training::Full.of_small_model(), small)?
        && is_done("train-llm", &Training::Full.of_language_model(), language)?)
}

/// The files of the two trained models.
struct Models {
    small: PathBuf,
    language: PathBuf,
}

impl Models {
    fn of(workspace: &Workspace, training: Training) -> Self {
        let file = |name: &str| workspace.at("data").join(format!("{}-{name}", training.stem()));
        Self { small: file("sasrec.safetensors"), language: file("items.gguf") }
    }
}
