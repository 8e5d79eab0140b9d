use tandem_collaboration::ListAdvantage;
use tandem_protocol::ItemId;

/// The candidates that are left, ranked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// Best first by the fused score.
    pub items: Vec<RankedItem>,
    /// How far the two models' orders are apart, in \[0, 1\]; `None` where there is nothing
    /// to compare (no history yet, fewer than two candidates).
    pub disagreement: Option<f32>,
    /// What the small model expects of the list beside other items, if the policy asks.
    pub list_advantage: Option<ListAdvantage>,
    /// Scores that were not finite numbers; such an item falls to the end.
    pub non_finite: usize,
}

/// One candidate with what each model says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedItem {
    /// The item.
    pub item: ItemId,
    /// The fused score, higher is better; comparable within one ranking only.
    pub score: f32,
    /// Its place in the language model's order of the items left, from 0.
    pub llm_rank: usize,
    /// Its place in the small model's order, from 0; as `llm_rank` while there is none.
    pub srm_rank: usize,
    /// The language model's log-probability (nats).
    pub logprob: f32,
    /// The small model's score (a logit), if it has one.
    pub srm_score: Option<f32>,
}
