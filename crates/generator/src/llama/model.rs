use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use llama_cpp_2::model::LlamaModel;
use tandem_dataset::Catalogue;
use tandem_protocol::{EngineKind, LanguageModelInfo};

use super::{
    backend::load_model,
    context::{Evaluator, SEQUENCES},
    item_tokens::{ItemTokenEngine, ItemTokenGenerator},
    options::LoadOptions,
    titles::{TitleEngine, TitleGenerator},
    validation::{check_decoder, check_metadata, sha256, unsupported},
};
use crate::{
    Generator, GeneratorError,
    catalogue_index::{CatalogueIndex, IndexOptions, IndexedGenerator},
    gguf::Metadata,
    item_tokens::{ENGINE, engine_of},
    ranking_signals::RankingSignals,
    search::SearchLimits,
};

/// A loaded language model and the catalogue whose items it generates.
///
/// `Send` and `Sync`: weights and trie are shared and immutable. Each [`Model::generator`]
/// has its own llama.cpp context and stays on one thread; generators do not block each other.
#[derive(Debug)]
pub struct Model {
    weights: LlamaModel,
    catalogue: Arc<Catalogue>,
    engine: Engine,
    info: LanguageModelInfo,
    options: LoadOptions,
    signals: Option<Arc<RankingSignals>>,
    index: Option<CatalogueIndex>,
    /// Held while a context is created, because llama.cpp then modifies the model.
    context_creation: Mutex<()>,
}

/// How the vocabulary represents items; selected by the metadata of the file.
#[derive(Debug)]
enum Engine {
    /// A text model: items are represented by their titles.
    Titles(Box<TitleEngine>),
    /// One token per item.
    ItemTokens(ItemTokenEngine),
}

impl Model {
    /// Loads a GGUF file for a catalogue.
    ///
    /// # Errors
    /// If the file is missing, not a GGUF file, damaged, neither a text model nor an
    /// item-token model of this catalogue, or llama.cpp cannot load it.
    pub fn load(
        gguf: &Path,
        catalogue: Arc<Catalogue>,
        options: &LoadOptions,
    ) -> Result<Self, GeneratorError> {
        let mut loaded = Self::load_unhashed(gguf, catalogue, options)?;
        loaded.info.sha256 = sha256(gguf)?;
        tracing::info!(
            model = loaded.info.name,
            items = loaded.catalogue.len(),
            "loaded the language model"
        );
        Ok(loaded)
    }

    /// As [`Model::load`], with an empty hash.
    pub(super) fn load_unhashed(
        gguf: &Path,
        catalogue: Arc<Catalogue>,
        options: &LoadOptions,
    ) -> Result<Self, GeneratorError> {
        let metadata = Metadata::read(gguf)?;
        let item_tokens = match engine_of(&metadata) {
            Some(ENGINE) => {
                let engine = ItemTokenEngine::new(gguf, &metadata, &catalogue)?;
                check_decoder(gguf, &metadata)?;
                Some(engine)
            }
            Some(other) => {
                let expected = format!("`{ENGINE}` in tandem.engine, or no such key");
                return Err(unsupported(gguf, &expected, other));
            }
            None => {
                check_metadata(gguf, &metadata)?;
                None
            }
        };
        let info = LanguageModelInfo {
            name: options.name.clone().unwrap_or_else(|| stem(gguf)),
            sha256: String::new(),
        };
        let model = load_model(gguf, options.mapped)?;
        // Architectures that the checks do not know.
        if model.is_recurrent() || model.is_hybrid() {
            return Err(unsupported(gguf, "a transformer decoder", "a recurrent model"));
        }
        let engine = if let Some(item_tokens) = item_tokens {
            Engine::ItemTokens(item_tokens)
        } else {
            let titles = TitleEngine::new(gguf, &metadata, &model, &catalogue, options)?;
            Engine::Titles(Box::new(titles))
        };
        let mut loaded = Self {
            weights: model,
            catalogue,
            engine,
            info,
            options: options.clone(),
            signals: None,
            index: None,
            context_creation: Mutex::new(()),
        };
        if options.unconditional_histories > 0 && matches!(loaded.engine, Engine::Titles(_)) {
            let unconditional =
                loaded.titles()?.measure_unconditional_scores(options.unconditional_histories)?;
            if let Engine::Titles(titles) = &mut loaded.engine {
                titles.set_unconditional_scores(unconditional);
            }
        }
        Ok(loaded)
    }

    /// Combines the scores of the model with further signals. Beside a text model, they and
    /// popularity are the prior of the titles.
    ///
    /// # Errors
    /// [`GeneratorError::OtherSignals`] if the weights were fitted for another model.
    pub fn with_signals(mut self, signals: Arc<RankingSignals>) -> Result<Self, GeneratorError> {
        signals.check_language_model(&self.info.sha256)?;
        self.signals = Some(signals);
        Ok(self)
    }

    /// Makes an index of an item-token model, so that lists of a large catalogue take less time and
    /// have most of the exact best items instead of all. Signals come
    /// [before](Self::with_signals). `gguf` is the file that the model was loaded from.
    ///
    /// # Errors
    /// [`GeneratorError::OtherEngine`] for a text model, and as [`CatalogueIndex::build`].
    pub fn build_index(
        &mut self,
        gguf: &Path,
        options: IndexOptions,
    ) -> Result<(), GeneratorError> {
        if matches!(self.engine, Engine::Titles(_)) {
            return Err(self.other_engine(ENGINE));
        }
        let index = CatalogueIndex::build(gguf, &self.catalogue, self.signals.clone(), options)?;
        self.index = Some(index);
        Ok(())
    }

    /// The index, if there is one.
    #[must_use]
    pub fn index(&self) -> Option<&CatalogueIndex> {
        self.index.as_ref()
    }

    /// The signals that take part in the scores.
    #[must_use]
    pub fn signals(&self) -> Option<&Arc<RankingSignals>> {
        self.signals.as_ref()
    }

    /// Name and SHA-256 of the file.
    #[must_use]
    pub fn info(&self) -> &LanguageModelInfo {
        &self.info
    }

    /// How the vocabulary represents items.
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

    /// Creates a generator with its own llama.cpp context.
    ///
    /// # Errors
    /// [`GeneratorError::Context`] if there is not enough memory for the context.
    pub fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        match (&self.engine, &self.index) {
            (Engine::Titles(_), _) => Ok(Box::new(self.titles()?)),
            (Engine::ItemTokens(_), None) => Ok(Box::new(self.item_tokens()?)),
            (Engine::ItemTokens(_), Some(index)) => {
                let LoadOptions { sequences, repeats, .. } = self.options;
                let name = &self.info.name;
                let generator =
                    IndexedGenerator::new(name, index, &self.catalogue, sequences, repeats);
                Ok(Box::new(generator))
            }
        }
    }

    /// Creates the concrete generator of the item-token engine.
    ///
    /// # Errors
    /// As [`Model::generator`], and [`GeneratorError::OtherEngine`] for a text model.
    pub fn item_tokens(&self) -> Result<ItemTokenGenerator<'_>, GeneratorError> {
        let Engine::ItemTokens(engine) = &self.engine else {
            return Err(self.other_engine(ENGINE));
        };
        let LoadOptions { threads, sequences, .. } = self.options;
        let _creating = self.context_creation.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &self.info.name;
        let generator =
            engine.generator(name, &self.weights, &self.catalogue, threads, sequences)?;
        Ok(generator.with_repeats(self.options.repeats).with_signals(self.signals.clone()))
    }

    /// Creates the concrete generator of the title engine, which also gives access to the
    /// scores of all trie nodes.
    ///
    /// # Errors
    /// As [`Model::generator`], and [`GeneratorError::OtherEngine`] for an item-token model.
    pub fn titles(&self) -> Result<TitleGenerator<'_>, GeneratorError> {
        let titles = self.title_engine()?;
        let (evaluator, limits) = (self.evaluator()?, self.limits());
        let (name, weights) = (&self.info.name, self.options.weights);
        let generator =
            TitleGenerator::new(name, (&self.weights, titles), evaluator, limits, weights);
        Ok(generator.with_repeats(self.options.repeats).with_signals(self.signals.clone()))
    }

    /// Creates a context of the size that the title engine uses.
    ///
    /// # Errors
    /// As [`Model::titles`].
    pub fn evaluator(&self) -> Result<Evaluator<'_>, GeneratorError> {
        let titles = self.title_engine()?;
        let limits = self.limits();
        let cells = titles.prompt_budget() + limits.cached_tokens + limits.batch_tokens;
        let cells = cells.next_multiple_of(256);
        let _creating = self.context_creation.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = self.options.threads;
        Evaluator::new(&self.weights, &self.info.name, threads, cells, limits.batch_tokens)
    }

    fn title_engine(&self) -> Result<&TitleEngine, GeneratorError> {
        match &self.engine {
            Engine::Titles(titles) => Ok(titles),
            Engine::ItemTokens(_) => Err(self.other_engine("titles")),
        }
    }

    fn other_engine(&self, engine: &'static str) -> GeneratorError {
        GeneratorError::OtherEngine { name: self.info.name.clone(), engine }
    }

    fn limits(&self) -> SearchLimits {
        SearchLimits {
            width: self.options.width.clamp(1, 64),
            branches: SEQUENCES - 1,
            cached_tokens: 1280,
            batch_tokens: 256,
            token_budget: self.options.decode_tokens,
        }
    }
}

/// The file name without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "language model".into(), |s| s.to_string_lossy().into_owned())
}
