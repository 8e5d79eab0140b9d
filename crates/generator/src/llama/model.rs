use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use llama_cpp_2::model::{LlamaModel, params::LlamaModelParams};
use tandem_dataset::{Catalogue, files::sha256_hex_of_file};
use tandem_protocol::{EngineKind, LanguageModelInfo};

use super::{
    backend::backend,
    context::Evaluator,
    item_tokens::{ItemTokenGenerator, ItemTokens},
    titles::{TitleGenerator, Titles},
};
use crate::{
    Generator, GeneratorError,
    experts::Experts,
    gguf::Metadata,
    item_tokens::{ENGINE, engine_of},
    search::Limits,
};

/// How a language model is loaded and used. What is about prompts, titles and searches
/// concerns the title engine only.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Threads that evaluate; more than the machine has cores make it slower. Models of item
    /// tokens too small to gain from a second thread use one.
    pub threads: usize,
    /// Name for people; the file's name without its ending if absent.
    pub name: Option<String>,
    /// Tokens of a prompt. What of a history does not fit is not read, oldest first.
    pub prompt_tokens: usize,
    /// Tokens that a search may evaluate for one list. What it does not reach is ordered
    /// by popularity.
    pub decode_tokens: usize,
    /// Continuations evaluated together.
    pub width: usize,
    /// Exponents of model and popularity.
    pub experts: Experts,
    /// Made-up histories whose mean stands for what the model says without a history: 0
    /// if that is not to be taken out. Each costs one pass over the tree at load, of up to
    /// 2,048 tokens.
    pub baseline_histories: usize,
    /// What the prompt begins with.
    pub preamble: String,
    /// What begins each line of the prompt's list.
    pub opener: String,
    /// Whether titles are read with their year in parentheses.
    pub years: bool,
    /// Item tokens: histories that are remembered for when they grow, and the bound of how
    /// many are evaluated together; at most 256, and fewer if they would take more than
    /// 128 MiB.
    pub sequences: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            name: None,
            prompt_tokens: 512,
            decode_tokens: 512,
            width: 16,
            experts: Experts::default(),
            baseline_histories: 2,
            preamble: "Titles similar in taste:\n".to_owned(),
            opener: "-".to_owned(),
            years: true,
            sequences: 32,
        }
    }
}

/// A loaded language model with the catalogue it makes candidates of.
///
/// `Send` and `Sync`: weights and tree are shared, immutable. Each [`Model::generator`]
/// has a llama.cpp context of its own and stays on one thread; they do not wait for each
/// other.
#[derive(Debug)]
pub struct Model {
    weights: LlamaModel,
    catalogue: Arc<Catalogue>,
    engine: Engine,
    info: LanguageModelInfo,
    options: LoadOptions,
    /// llama.cpp touches the model while it makes a context.
    making_context: Mutex<()>,
}

/// How a file's vocabulary stands for items; chosen by its metadata.
#[derive(Debug)]
enum Engine {
    /// Any model of text: items go by their titles.
    Titles(Titles),
    /// One token per item.
    ItemTokens(ItemTokens),
}

impl Model {
    /// Loads a GGUF file for a catalogue.
    ///
    /// # Errors
    /// If the file is missing, not a GGUF, damaged, neither a model of text nor of this
    /// catalogue's items, or llama.cpp cannot load it.
    pub fn load(
        gguf: &Path,
        catalogue: Arc<Catalogue>,
        options: &LoadOptions,
    ) -> Result<Self, GeneratorError> {
        let metadata = Metadata::read(gguf)?;
        let item_tokens = match engine_of(&metadata) {
            Some(ENGINE) => Some(ItemTokens::new(gguf, &metadata, &catalogue)?),
            Some(other) => {
                let expected = format!("the engine {ENGINE} in tandem.engine, or none");
                return Err(unsupported(gguf, &expected, other));
            }
            None => {
                check_text(gguf, &metadata)?;
                None
            }
        };
        let fault = |message: String| GeneratorError::Load { path: gguf.to_owned(), message };
        let info = LanguageModelInfo {
            name: options.name.clone().unwrap_or_else(|| stem(gguf)),
            sha256: sha256(gguf)?,
        };
        let params = LlamaModelParams::default();
        let model = LlamaModel::load_from_file(backend().map_err(fault)?, gguf, &params)
            .map_err(|error| fault(error.to_string()))?;
        if model.is_recurrent() || model.is_hybrid() {
            return Err(unsupported(gguf, "a key-value cache that branches", "a recurrent model"));
        }
        let engine = match item_tokens {
            Some(item_tokens) => Engine::ItemTokens(item_tokens),
            None => Engine::Titles(Titles::new(gguf, &metadata, &model, &catalogue, options)?),
        };
        tracing::info!(model = info.name, items = catalogue.len(), "language model loaded");
        let mut loaded = Self {
            weights: model,
            catalogue,
            engine,
            info,
            options: options.clone(),
            making_context: Mutex::new(()),
        };
        if options.baseline_histories > 0 && matches!(loaded.engine, Engine::Titles(_)) {
            let baseline = loaded.titles()?.measure_baseline(options.baseline_histories)?;
            if let Engine::Titles(titles) = &mut loaded.engine {
                titles.set_baseline(baseline);
            }
        }
        Ok(loaded)
    }

    /// Name and hash of the file.
    #[must_use]
    pub fn info(&self) -> &LanguageModelInfo {
        &self.info
    }

    /// How the vocabulary stands for items.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        match self.engine {
            Engine::Titles(_) => EngineKind::Titles,
            Engine::ItemTokens(_) => EngineKind::ItemTokens,
        }
    }

    /// The catalogue whose items are generated.
    #[must_use]
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Makes a generator with a llama.cpp context of its own.
    ///
    /// # Errors
    /// If there is not enough memory for the context.
    pub fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        match &self.engine {
            Engine::Titles(_) => Ok(Box::new(self.titles()?)),
            Engine::ItemTokens(_) => Ok(Box::new(self.item_tokens()?)),
        }
    }

    /// The item-token engine's generator, with what [`Generator`] does not offer.
    ///
    /// # Errors
    /// Like [`Model::generator`]; [`GeneratorError::OtherEngine`] if the model is of text.
    pub fn item_tokens(&self) -> Result<ItemTokenGenerator<'_>, GeneratorError> {
        let Engine::ItemTokens(engine) = &self.engine else {
            return Err(self.other_engine(ENGINE));
        };
        let LoadOptions { threads, sequences, .. } = self.options;
        let _one_at_a_time = self.making_context.lock().unwrap_or_else(PoisonError::into_inner);
        let generator =
            engine.generator(&self.info.name, &self.weights, &self.catalogue, threads, sequences);
        generator
            .map_err(|message| GeneratorError::Context { name: self.info.name.clone(), message })
    }

    /// The title engine's generator, with what [`Generator`] does not offer: scores of the
    /// whole tree, for calibration.
    ///
    /// # Errors
    /// Like [`Model::generator`]; [`GeneratorError::OtherEngine`] if the model is not of text.
    pub fn titles(&self) -> Result<TitleGenerator<'_>, GeneratorError> {
        let titles = self.title_engine()?;
        let (evaluator, limits) = (self.evaluator()?, self.limits());
        Ok(TitleGenerator::new(&self.info.name, titles, evaluator, limits, self.options.experts))
    }

    /// A bare context of the size the title engine uses.
    ///
    /// # Errors
    /// Like [`Model::titles`].
    pub fn evaluator(&self) -> Result<Evaluator<'_>, GeneratorError> {
        let titles = self.title_engine()?;
        let limits = self.limits();
        let cells = (titles.prompt_budget() + limits.held + limits.batch).next_multiple_of(256);
        let _one_at_a_time = self.making_context.lock().unwrap_or_else(PoisonError::into_inner);
        Evaluator::new(&self.weights, self.options.threads, cells, limits.batch)
            .map_err(|message| GeneratorError::Context { name: self.info.name.clone(), message })
    }

    fn title_engine(&self) -> Result<&Titles, GeneratorError> {
        match &self.engine {
            Engine::Titles(titles) => Ok(titles),
            Engine::ItemTokens(_) => Err(self.other_engine("titles")),
        }
    }

    fn other_engine(&self, engine: &'static str) -> GeneratorError {
        GeneratorError::OtherEngine { name: self.info.name.clone(), engine }
    }

    fn limits(&self) -> Limits {
        Limits {
            width: self.options.width.clamp(1, 64),
            branches: super::context::SEQUENCES - 1,
            held: 1280,
            batch: 256,
            tokens: self.options.decode_tokens,
        }
    }
}

/// Refuses what llama.cpp would abort the process on, or what has no next token to score.
pub(super) fn check_text(path: &Path, metadata: &Metadata) -> Result<(), GeneratorError> {
    // Text functions of llama.cpp abort without a vocabulary.
    if metadata.text("tokenizer.ggml.model").is_none_or(|tokenizer| tokenizer == "none") {
        let expected = "a tokenizer (tokenizer.ggml.model)";
        return Err(unsupported(path, expected, "a model without text"));
    }
    let architecture = metadata.text("general.architecture").unwrap_or("none");
    let pools = metadata.values.contains_key(&format!("{architecture}.pooling_type"));
    if pools || ["bert", "t5", "clip"].iter().any(|kind| architecture.contains(kind)) {
        let found = format!("an encoder (general.architecture {architecture})");
        return Err(unsupported(path, "a model that scores the next token", &found));
    }
    Ok(())
}

fn unsupported(path: &Path, expected: &str, found: &str) -> GeneratorError {
    GeneratorError::Unsupported {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "language model".into(), |s| s.to_string_lossy().into_owned())
}

pub(super) fn sha256(path: &Path) -> Result<String, GeneratorError> {
    let io = |source| crate::gguf::GgufError::Io { path: path.to_owned(), source };
    Ok(sha256_hex_of_file(path).map_err(io)?)
}
