//! Variables of the environment that look like options and are none.

use std::{ffi::OsString, fmt};

use super::{Args, file::variable_of};

/// Beginning of the names of all variables.
const PREFIX: &str = "TANDEM_";
/// Variables of the commands (`cloud-server releases` and `consume`).
const OF_COMMANDS: [&str; 3] = ["TANDEM_KEY", "TANDEM_SERVER", "TANDEM_METRICS_LISTEN"];
/// Similarity (Jaro-Winkler) from which an option is proposed.
const SIMILAR: f64 = 0.9;

/// A variable that begins as those of options do, but is not one of them: it has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    name: String,
    /// The variable that was probably meant.
    nearest: Option<String>,
}

impl UnknownVariable {
    /// Whether an option has a similar name, so that this is probably a mistake.
    #[must_use]
    pub fn is_similar(&self) -> bool {
        self.nearest.is_some()
    }
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the environment sets {}, which is not an option and has no effect; ",
            self.name
        )?;
        match &self.nearest {
            Some(nearest) => write!(f, "did you mean {nearest}?"),
            None => f.write_str("see `cloud-server --help`"),
        }
    }
}

impl Args {
    /// The variables among `names` that are not those of an option.
    pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<UnknownVariable> {
        let command = Self::with_environment();
        let of_commands = OF_COMMANDS.map(str::to_owned);
        let options = command.get_arguments().filter_map(variable_of);
        let known: Vec<String> = options.chain(of_commands).collect();
        let is_known = |name: &str| known.iter().any(|variable| variable == name);
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        let mut unknown: Vec<String> =
            names.filter(|name| name.starts_with(PREFIX) && !is_known(name)).collect();
        unknown.sort();
        let described = unknown.into_iter().map(|name| {
            let similarity = |variable: &&String| {
                strsim::jaro_winkler(&variable[PREFIX.len()..], &name[PREFIX.len()..])
            };
            let nearest = known.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
            let nearest = nearest.filter(|variable| similarity(variable) >= SIMILAR).cloned();
            UnknownVariable { name, nearest }
        });
        described.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(names: &[&str]) -> Vec<String> {
        let found = Args::unknown_variables(names.iter().map(OsString::from));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelled_variable_is_named_with_the_nearest_option() {
        let found = messages(&["PATH", "TANDEM_QUEUE", "TANDEM_KEY", "TANDEM_MAX_CONECTIONS"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("TANDEM_MAX_CONECTIONS"), "{found:?}");
        assert!(found[0].ends_with("did you mean TANDEM_MAX_CONNECTIONS?"), "{found:?}");
        // Flags of the command line only.
        assert!(messages(&["TANDEM_CHECK"])[0].contains("TANDEM_CHECK, which is not an option"));
        assert!(messages(&["TANDEM_XYZ"])[0].ends_with("see `cloud-server --help`"));
    }
}
