use std::sync::Arc;

use tandem_dataset::ItemIndex;
use tandem_generator::ranking_signals::RankingSignals;
use tandem_protocol::ItemId;
use tandem_storage::{Storage, StorageError};

use crate::{
    events::{EventLog, EventLogError, is_interaction},
    live_counts::LiveCounts,
};

/// Number of events that are read at a time.
const PAGE: u32 = 10_000;

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
    /// Counts the stored events that are newer than the counts of the signals. Blocks.
    pub(crate) fn replay(
        &self,
        counts: &LiveCounts,
        signals: &RankingSignals,
        position: impl Fn(&ItemId) -> Option<ItemIndex>,
    ) -> Result<(), ReplayError> {
        let mut replay = counts.begin_replay(signals, position);
        match self {
            Self::Files(log) => log.for_each_interaction(replay)?,
            Self::Storage(storage) => {
                let mut after = Some(0);
                while let Some(start) = after {
                    let page = storage.block_on(storage.events_since(0, start, PAGE))?;
                    for event in page.events.iter().filter(|event| is_interaction(event.kind)) {
                        replay(&event.session, &event.item, event.at);
                    }
                    after = page.next;
                }
            }
        }
        Ok(())
    }
}
