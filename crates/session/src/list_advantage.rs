use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use tandem_collaboration::{ListAdvantage, Trigger, UpliftEvidence};
use tandem_protocol::ItemId;

use crate::{Ranked, RowStore, Session, SessionError, session::List};

/// What is known of the list in use beyond its items.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListBaseline {
    /// What the list is compared with.
    negatives: OnceLock<NegativeSample>,
    /// How the small model saw the list when it was new.
    baseline: OnceLock<ListAdvantage>,
}

/// A sample of the items outside a list, the same from click to click, with their rows at hand:
/// a decision looks at all of them.
#[derive(Clone, Debug)]
struct NegativeSample {
    places: HashMap<ItemId, usize>,
    rows: Vec<f32>, // [places, dims]
}

impl NegativeSample {
    fn new(store: &RowStore, list: &List) -> Self {
        let mut negatives = Self { places: HashMap::new(), rows: Vec::new() };
        let mut items = store.sample();
        let listed: HashSet<&ItemId> =
            list.candidates.iter().map(|candidate| &candidate.item).collect();
        items.retain(|item| !listed.contains(item));
        for item in items {
            if store.gather(&item, &mut negatives.rows) {
                negatives.places.insert(item, negatives.places.len());
            }
        }
        negatives
    }
}

impl ListBaseline {
    /// The watch of a list that was stored.
    pub(crate) fn restored(baseline: Option<ListAdvantage>) -> Self {
        let watch = Self::default();
        if let Some(list_advantage) = baseline {
            // Into an empty cell: cannot fail.
            let _ = watch.baseline.set(list_advantage);
        }
        watch
    }

    /// How the small model saw the list when it was new.
    pub(crate) fn baseline(&self) -> Option<ListAdvantage> {
        self.baseline.get().copied()
    }
}

impl Session {
    /// What the small model expects of the list beside other items of which the rows are
    /// here; `None` if the policy does not ask, or there is nothing to compare. `shown` holds
    /// its scores of the list in the order it is shown.
    pub(crate) async fn list_advantage(
        &self,
        shown: &[f32],
    ) -> Result<Option<ListAdvantage>, SessionError> {
        let Some(list) = &self.list else { return Ok(None) };
        if !matches!(self.policy().trigger, Trigger::Uplift { .. }) {
            return Ok(None);
        }
        let negatives = list.watch.negatives.get_or_init(|| NegativeSample::new(&self.rows, list));
        let Some(user) = self.user().await? else { return Ok(None) };
        let mut rows = Cow::Borrowed(&negatives.rows[..]);
        for item in self.delta.keys() {
            if let Some(row) = negatives.places.get(item).map(|place| place * self.rows.dims()) {
                self.delta.apply_row(item, &mut rows.to_mut()[row..row + self.rows.dims()]);
            }
        }
        let mut scores = self.scorer.personal_scores(&user, &self.delta, rows).await?;
        for item in self.history.iter().chain(&self.disliked) {
            if let Some(place) = negatives.places.get(item) {
                // Left out: it is not going to be recommended.
                scores[*place] = f32::NAN;
            }
        }
        let list_advantage = ListAdvantage::new(shown, &scores);
        if let Some(list_advantage) = list_advantage {
            list.watch.baseline.get_or_init(|| list_advantage);
        }
        Ok(list_advantage)
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
            now: ranked.list_advantage?,
            baseline: list.watch.baseline()?,
            disagreement: ranked.disagreement?,
            clicks_since,
            missed: newest.filter(|item| !held(item)).count() as u64,
            ..UpliftEvidence::default()
        })
    }
}
