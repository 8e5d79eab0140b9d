use std::sync::Arc;

use tandem_protocol::ItemId;
use tandem_storage::{Storage, StorageError};

use crate::{
    events::{EventLog, EventLogError},
    live_counts::{CountedEvents, LiveCounts},
    live_items::LiveItems,
    recommender::Recommender,
};

/// Where events go.
#[derive(Clone, Debug)]
pub(crate) enum EventSink {
    /// Files of JSON lines.
    Files(Arc<EventLog>),
    /// The database.
    Storage(Storage),
}

/// Why earlier events could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Files(#[from] EventLogError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EventSink {
    /// Counts the stored events that are newer than the counts of the recommender's signals. Blocks.
    ///
    /// `counted` says afterwards which events of the database they have, also after a failure;
    /// `None` for files, whose events are counted when they are received.
    pub(crate) fn replay(
        &self,
        counts: &LiveCounts,
        recommender: &Recommender,
        items: &LiveItems,
        counted: &mut Option<CountedEvents>,
    ) -> Result<(), ReplayError> {
        let signals = recommender.signals.as_ref().filter(|signals| signals.counts().is_some());
        let Some(signals) = signals else { return Ok(()) };
        match self {
            Self::Files(log) => {
                let position = |id: &ItemId| items.position(&recommender.catalogue, id);
                log.for_each_interaction(counts.begin_replay(signals, position))?;
            }
            Self::Storage(storage) => {
                let counted = counted.insert(CountedEvents::new(signals));
                storage.block_on(counts.count_new(counted, recommender, items, storage))?;
            }
        }
        Ok(())
    }
}
