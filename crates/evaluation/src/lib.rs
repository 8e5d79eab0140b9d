//! How good a ranking is: ranks, metrics and the evaluation protocols.
//!
//! [`rank_of`] is the one place where a target's rank is determined, with the tie rule
//! that holds everywhere; [`Metrics`] turns ranks into figures; [`StandardProtocol`] is the
//! leave-one-out protocol over the whole catalogue that published figures follow;
//! [`SessionProtocol`] replays live clicks through the device's own state machine;
//! [`ResultRow`] is one measured figure as the result files keep it.
//!
//! To [`StandardProtocol`] a model is a closure from histories to scores, and to the session
//! protocol the cloud is a closure from histories to lists.

mod metrics;
pub mod plot;
mod rank;
mod results;
mod session;
mod standard;

pub use metrics::{CUTOFFS, Metrics, MetricsAt, hit, ndcg, reciprocal_rank};
pub use rank::rank_of;
pub use results::ResultRow;
pub use session::{ClickRecord, SessionProtocol, SessionReport};
pub use standard::{BATCH, EvaluationError, History, Part, StandardProtocol, StandardReport};
