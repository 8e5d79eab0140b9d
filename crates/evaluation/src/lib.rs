//! How good a ranking is: ranks, metrics and the evaluation protocols.
//!
//! [`rank_of`] is the one place where a target's rank is determined, with the tie rule
//! that holds everywhere; [`Metrics`] turns ranks into figures; [`StandardProtocol`] is the
//! leave-one-out protocol over the whole catalogue that published figures follow;
//! [`paper`] is that of `LSC4Rec`; [`SessionProtocol`] replays live clicks through the
//! device's own state machine; [`Stratum`] names parts of the users; [`ResultRow`] is one
//! measured figure as the result files keep it.
//!
//! To [`StandardProtocol`] a model is a closure from histories to scores, and to the other
//! two the cloud is a closure from histories to lists.

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

pub use device::SimulatedDevice;
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
