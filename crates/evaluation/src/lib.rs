//! Metrics, evaluation protocols, and everything that is fitted on validation data.
//!
//! - [`rank_of`] determines the rank of a target, with one tie rule for all protocols;
//!   [`Metrics`] are means over ranks;
//! - [`StandardProtocol`]: leave one out over the whole catalogue, as in published figures;
//! - [`paper`]: the protocol of `LSC4Rec`;
//! - [`SessionProtocol`]: live clicks, replayed through the session code of the browser;
//! - [`SessionReplay`] and [`fitting`]: the choice of fusion, learning rates and thresholds;
//! - [`Stratum`]: parts of the users; [`ResultRow`]: one row of a result file.
//!
//! A model is a closure from histories to scores, the cloud a closure from histories to lists.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::convert::Infallible;
//!
//! use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence};
//! use tandem_evaluation::{History, Part, StandardProtocol};
//!
//! let items = ["cup", "pot", "tea"].map(|id| Item::untitled(id.into())).into();
//! let sequence =
//!     Sequence { user: "ann".into(), items: [2, 0, 1].map(ItemIndex).into(), times: None };
//! let dataset = Dataset::new("shop", Catalogue::new(items)?, vec![sequence], None)?;
//!
//! // A model that prefers items late in the catalogue. Without the history (tea, cup), the
//! // target (pot) is first.
//! let protocol = StandardProtocol { part: Part::Test, history: History::Removed };
//! let score = |histories: &[&[ItemIndex]]| {
//!     Ok::<_, Infallible>(vec![vec![0.0, 1.0, 2.0]; histories.len()])
//! };
//! let report = protocol.run(&dataset, |_| (), score)?;
//! assert_eq!(report.metrics.at(1).map(|at| at.hr), Some(1.0));
//! # Ok(())
//! # }
//! ```

mod device;
mod error;
pub mod fitting;
mod metrics;
pub mod paper;
pub mod plot;
mod rank;
mod replay;
mod results;
mod scored_list;
mod session;
mod standard;
mod strata;
#[cfg(test)]
mod testing;
mod uplift_sample;

pub use device::{CellFiles, SearchScope, SimulatedDevice};
pub use error::EvaluationError;
pub use metrics::{CUTOFFS, Metrics, MetricsAt, hit, ndcg, reciprocal_rank};
pub use rank::rank_of;
pub use replay::{
    CandidateList, CandidateLists, ObservedSession, Progress, SessionReplay, Sessions,
};
pub use results::{ResultRow, SessionCost};
pub use scored_list::ScoredList;
pub use session::{ClickRecord, SessionProtocol, SessionReport};
pub use standard::{
    BATCH, History, Part, RankedTargets, StandardProtocol, StandardReport, rank_all,
};
pub use strata::{COLD_BELOW, Stratum};
