//! Messages for people.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// Writes a line to standard error. Nobody may read it any more, as after `2>&1 | head`: that is no
/// reason to end a training, as `eprintln!` would.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
