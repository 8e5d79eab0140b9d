use std::fmt;

/// Prints the current step on standard error.
pub(crate) fn say(step: &str, what: impl fmt::Display) {
    eprintln!("{step:>12}  {what}");
}
