//! From the log to exported artefacts, with the `tandem` command.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    assets::Assets,
    cargo,
    digest::Inputs,
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

/// Fixed time limit and seed, so that all machines train alike.
const TRAINING: [&str; 4] = ["--minutes", "3", "--seed", "7"];

/// Training options of the item-token language model; docs/quality.md has its figures.
const LANGUAGE_MODEL_TRAINING: &str = "--minutes 3 --seed 7 --loss full --untied --co-occurrence --row-std 0.1 --batch 512 --learning-rate 1e-3 --row-rate 2e-3 --dropout 0.3 --average 3";

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
pub(crate) fn prepare(workspace: &Workspace, assets: &Assets) -> Result<Prepared, Failure> {
    let data = workspace.at("data").join(DEMO);
    let model = workspace.at("data").join(format!("{DEMO}-sasrec.safetensors"));
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
    let whole = Inputs::new().text(held_out::DIVISION).file(&assets.interactions)?;
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
    let training = dataset.clone().text(&TRAINING.join(" "));
    workspace.stamp("train").unless_done(&training, std::slice::from_ref(&model), || {
        say("Training", "SASRec, at most 3 minutes");
        tandem("tandem train srm")
            .args(["train", "srm"])
            .args(TRAINING)
            .arg("--data")
            .arg(&data)
            .arg("--out")
            .arg(&model)
            .run()
    })?;

    let items = workspace.at("data").join(format!("{DEMO}-items.gguf"));
    let training = dataset.text(LANGUAGE_MODEL_TRAINING);
    workspace.stamp("train-llm").unless_done(&training, std::slice::from_ref(&items), || {
        say("Training", "the item-token language model, at most 3 minutes");
        tandem("tandem train llm")
            .args(["train", "llm"])
            .args(LANGUAGE_MODEL_TRAINING.split(' '))
            .arg("--data")
            .arg(&data)
            .arg("--out")
            .arg(&items)
            .run()
    })?;

    let calibration = calibrate(workspace, assets, &parts.calibration, &model, &items)?;
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
    log: &Path,
    small_model: &Path,
    language_model: &Path,
) -> Result<PathBuf, Failure> {
    // What is not fitted: how the device learns, and the settings for the text model.
    let start = workspace.at("xtask/calibration").join(format!("{NAME}.json"));
    let file = |name: &str| workspace.at("data").join(format!("{DEMO}-{name}"));
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
    workspace.stamp("calibrate").unless_done(&inputs, std::slice::from_ref(&out), || {
        say("Calibrating", "the decision about calls");
        let tandem = |command: &str, options: &[(&str, &Path)]| {
            let program = Program::new(format!("tandem {command}"), workspace.program("tandem"))
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
    })?;
    Ok(out)
}

/// Builds the programs and runs [`prepare`].
pub(crate) fn build_and_prepare(
    workspace: &Workspace,
    assets: &Assets,
) -> Result<Prepared, Failure> {
    cargo::build_programs(workspace)?;
    prepare(workspace, assets)
}
