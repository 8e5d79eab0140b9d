//! Options: from the command line, the environment and a TOML file, in falling order.

mod args;
mod changes;
mod describe;
mod file;
mod limits;
mod release_place;
mod source;
mod variables;

pub(crate) use args::CLIENT_SCRIPT;
pub use args::{Args, LogFormat};
pub use file::ConfigError;
pub use limits::Limits;
pub use release_place::ReleasePlace;
pub use source::OptionsError;
pub(crate) use source::Source;
pub use variables::UnknownVariable;
