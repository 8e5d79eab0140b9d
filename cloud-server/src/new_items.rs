//! Items that the database has and no model knows become candidates: a thread reads their titles
//! and texts, embeds the texts, and adds them to the items of the lists.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_dataset::{Catalogue, Item, ItemIndex, text_vectors::item_text};
use tandem_generator::{
    GeneratorError,
    added_items::{AddedItem, AddedText, NeighbourOptions},
    llama::TextEmbedder,
    ranking_signals::{RankingSignals, TextTable},
};
use tandem_protocol::{EngineKind, ItemId};
use tandem_storage::{Storage, StorageError, StoredItem};

use crate::{
    embedded_texts::EmbeddedTexts, embedder::Embedder, live_items::ChangedTexts,
    priority::yield_to_requests, state::AppState, storage::RepeatedErrors,
};

/// Time between two looks for new items.
const POLL: Duration = Duration::from_millis(100);
/// Time until items are read again after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Number of items that are read and embedded at a time. They are candidates together.
const EMBEDDED: usize = 64;
/// Number of items that are read at a time if no texts are embedded. Each answer of the database takes
/// a while, and each change of the items copies the table of those before.
const READ: usize = 10_000;

/// The thread.
#[derive(Debug)]
pub(crate) struct NewItems {
    /// Dropped to stop the thread.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl NewItems {
    /// Starts the thread. Without an embedding model only title models can use the items.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(crate) fn start(
        state: Arc<AppState>,
        storage: Storage,
        embedder: Option<Embedder>,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let mut reader = Reader {
            state,
            storage,
            embedder,
            loaded: None,
            embedded: EmbeddedTexts::default(),
            missing: None,
            is_missing_told: false,
        };
        let run = move || {
            yield_to_requests();
            let (mut wait, mut failures) = (POLL, None);
            while matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                wait = match reader.read() {
                    // There may be more.
                    Ok(true) => Duration::ZERO,
                    Ok(false) => POLL,
                    Err(error) => {
                        let reason = error.to_string();
                        // Not at each attempt of an outage.
                        if RepeatedErrors::line(&mut failures, &reason, Instant::now()).is_some() {
                            tracing::warn!(error = reason, "new items are not candidates yet");
                        }
                        RETRY
                    }
                };
            }
        };
        let thread = thread::Builder::new().name("new-items".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Stops the thread. Returns whether it has ended within `patience`: texts that are being
    /// embedded cannot be interrupted.
    pub(crate) fn stop(self, patience: Duration) -> bool {
        drop(self.stop);
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().is_ok()
    }
}

/// The position of an item, and what is known of it; `None` if it is not stored any more.
type ReadItem = (ItemIndex, Option<Arc<AddedItem>>);

/// Why new items could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Embedder(#[from] GeneratorError),
}

/// The state of the thread.
struct Reader {
    state: Arc<AppState>,
    storage: Storage,
    embedder: Option<Embedder>,
    /// The loaded model.
    loaded: Option<TextEmbedder>,
    embedded: EmbeddedTexts,
    /// What the default model lacks to rank the new items that were read, if it may lack something.
    missing: Option<&'static str>,
    /// Whether the log says so.
    is_missing_told: bool,
}

impl Reader {
    /// Reads some of the items that changed. Returns whether there were any.
    fn read(&mut self) -> Result<bool, ReadError> {
        self.tell_missing();
        let recommender = self.state.recommender();
        let table = recommender.signals.as_deref().and_then(RankingSignals::text);
        let batch = if table.is_some() && self.embedder.is_some() { EMBEDDED } else { READ };
        let Some(changed) = self.state.items.take_changed(batch) else { return Ok(false) };
        if !Arc::ptr_eq(&recommender.catalogue, &changed.catalogue) {
            // A new release is about to be put in use.
            self.state.items.take_back(changed);
            return Ok(false);
        }
        match self.read_items(&changed, recommender.signals.as_deref()) {
            Ok(items) => {
                self.state.items.set_added(&changed.catalogue, items);
                Ok(true)
            }
            Err(error) => {
                self.state.items.take_back(changed);
                Err(error)
            }
        }
    }

    /// The items that differ from what is known of them.
    fn read_items(
        &mut self,
        changed: &ChangedTexts,
        signals: Option<&RankingSignals>,
    ) -> Result<Vec<ReadItem>, ReadError> {
        let ids: Vec<ItemId> = changed.changed.iter().map(|(id, _)| id.clone()).collect();
        let mut stored: HashMap<ItemId, Item> = self
            .storage
            .block_on(self.storage.items_by_id(&ids))?
            .into_iter()
            .map(|item| (item.id.clone(), of_catalogue(item)))
            .collect();
        let mut items = Vec::new();
        for (id, position) in &changed.changed {
            let item = stored.remove(id);
            if changed.items.get(*position).map(|known| &known.item) != item.as_ref() {
                items.push((*position, item));
            }
        }
        let texts = items.iter().map(|(_, item)| item.as_ref());
        let texts = self.texts(&changed.catalogue, signals, texts)?;
        let added = |((position, item), text): ((_, Option<Item>), _)| {
            (position, item.map(|item| Arc::new(AddedItem { item, text })))
        };
        Ok(items.into_iter().zip(texts).map(added).collect())
    }

    /// The texts of items; `None` for those without one.
    fn texts<'i>(
        &mut self,
        catalogue: &Arc<Catalogue>,
        signals: Option<&RankingSignals>,
        items: impl Iterator<Item = Option<&'i Item>>,
    ) -> Result<Vec<Option<AddedText>>, ReadError> {
        let table = signals.and_then(RankingSignals::text);
        let (Some(table), Some(embedder)) = (table, &self.embedder) else {
            self.missing = Some(if table.is_some() {
                "start the server with --embedder"
            } else {
                "the release has no text vectors; make one with an embedding model"
            });
            return Ok(items.map(|_| None).collect());
        };
        let template = &table.space().source.template;
        let text =
            |item: Option<&Item>| item.map_or_else(String::new, |it| item_text(it, template));
        let texts: Vec<String> = items.map(text).collect();
        let started = Instant::now();
        let (loaded, mut embedded) = (&mut self.loaded, 0);
        self.embedded.follow(catalogue, &table.space().source.model_sha256);
        let vectors = self.embedded.vectors(&texts, |unknown| {
            embedded = unknown.len();
            let model = embedder.load(loaded, table.space())?;
            let vectors = model.embed(unknown, |_| {})?;
            Ok::<_, ReadError>(vectors.chunks_exact(model.dims()).map(Arc::from).collect())
        })?;
        let added: Vec<Option<AddedText>> =
            vectors.iter().map(|vector| added_text(table, vector)).collect();
        tracing::debug!(
            items = added.iter().flatten().count(),
            embedded,
            ms = started.elapsed().as_millis() as u64,
            "read the texts of new items"
        );
        Ok(added)
    }

    /// Says once in the log why the default model ranks no new items, if it needs their texts. The
    /// model may still be loading when the items are read.
    fn tell_missing(&mut self) {
        let Some(missing) = self.missing.filter(|_| !self.is_missing_told) else { return };
        let models = &self.state.recommender().models;
        let engine = models.iter().next().and_then(|model| model.status().engine);
        if engine == Some(EngineKind::ItemTokens) {
            self.is_missing_told = true;
            tracing::warn!(
                missing,
                "items that the catalogue of the release lacks are no candidates: the item-token model \
                 ranks them by their texts"
            );
        }
    }
}

/// The vector of a text as one of the table, with its neighbours.
fn added_text(table: &TextTable, vector: &[f32]) -> Option<AddedText> {
    table.added(&table.space().of_model(vector)?, NeighbourOptions::default())
}

/// A stored item as one of a catalogue.
fn of_catalogue(item: StoredItem) -> Item {
    let StoredItem { id, title, categories, brand, description, year, .. } = item;
    let year = year.and_then(|year| u16::try_from(year).ok());
    Item { id, title, year, genres: categories, brand, description, count: 0 }
}
