use std::{collections::HashSet, sync::OnceLock};

use tandem_collaboration::{Outlook, Trigger, UpliftEvidence};
use tandem_protocol::ItemId;

use crate::{Ranked, Session, SessionError};

/// What is known of the list in use beyond its items.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListWatch {
    /// Items that the list is compared with, the same from click to click.
    probe: OnceLock<Vec<ItemId>>,
    /// How the small model saw the list when it was new.
    when_new: OnceLock<Outlook>,
}

impl ListWatch {
    /// The watch of a list that was stored.
    pub(crate) fn restored(when_new: Option<Outlook>) -> Self {
        let watch = Self::default();
        if let Some(outlook) = when_new {
            // Into an empty cell: cannot fail.
            let _ = watch.when_new.set(outlook);
        }
        watch
    }

    /// How the small model saw the list when it was new.
    pub(crate) fn when_new(&self) -> Option<Outlook> {
        self.when_new.get().copied()
    }
}

impl Session {
    /// What the small model expects of the list beside other items of which the rows are
    /// here; `None` if the policy does not ask, or there is nothing to compare. `shown` holds
    /// its scores of the list in the order it is shown.
    pub(crate) async fn outlook(&self, shown: &[f32]) -> Result<Option<Outlook>, SessionError> {
        let Some(list) = &self.list else { return Ok(None) };
        if !matches!(self.policy().trigger, Trigger::Uplift { .. }) {
            return Ok(None);
        }
        let probe = list.watch.probe.get_or_init(|| self.rows.sample());
        let mut known: HashSet<&ItemId> = self.history.iter().chain(&self.disliked).collect();
        known.extend(list.candidates.iter().map(|candidate| &candidate.item));
        let others: Vec<&ItemId> = probe.iter().filter(|item| !known.contains(item)).collect();
        let scores = self.score(&others).await?.unwrap_or_default();
        let outlook = Outlook::new(shown, &scores);
        if let Some(outlook) = outlook {
            list.watch.when_new.get_or_init(|| outlook);
        }
        Ok(outlook)
    }

    /// What there is to tell whether a fresh list would help, as [`decide`](Self::decide)
    /// sees it; `None` if the policy does not ask, or there is nothing to compare.
    #[must_use]
    pub fn uplift_evidence(&self, ranked: &Ranked) -> Option<UpliftEvidence> {
        let list = self.list.as_ref()?;
        let clicks_since = self.clicks.saturating_sub(list.clicks);
        // Dislikes count as clicks and join no history: an older item may then stand in for
        // one, which the list, made after it, does not hold either.
        let newest = self.history.iter().rev().take(clicks_since as usize);
        let held = |item: &&ItemId| list.candidates.iter().any(|other| other.item == **item);
        Some(UpliftEvidence {
            now: ranked.outlook?,
            when_new: list.watch.when_new()?,
            disagreement: ranked.disagreement?,
            clicks_since,
            missed: newest.filter(|item| !held(item)).count() as u64,
        })
    }
}
