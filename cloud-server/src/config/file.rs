use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};
use toml::{Table, Value};

use super::{Args, OptionsError};
use crate::secrets::toml_reason;

/// Options that are not part of a configuration.
const CONTROL: [&str; 5] = ["config", "print_config", "check", "help", "version"];

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The options are wrong; the message is that of the command line.
    #[error(transparent)]
    Options(#[from] clap::Error),
    /// Options do not fit together.
    #[error("{0}; see `cloud-server --help`")]
    Together(#[from] OptionsError),
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; give a TOML file with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not a TOML file: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Position and reason.
        reason: String,
    },
    /// There is no option of this name.
    #[error("{} sets `{name}`, which is not an option; see `cloud-server --help`", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A value has the wrong type.
    #[error("{}: expected {expected} for `{name}`, found {found}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The option.
        name: String,
        /// What the option takes.
        expected: &'static str,
        /// Type of the value in the file.
        found: &'static str,
    },
}

impl Args {
    /// Reads the options of a command line (with the name of the program first), of the
    /// environment and of the file that `--config` names.
    ///
    /// # Errors
    /// If the file cannot be read, or an option is missing, unknown or out of range. `--help`
    /// and `--version` are [`ConfigError::Options`], too.
    pub fn load(line: &[OsString]) -> Result<(Self, ArgMatches), ConfigError> {
        let matches = Self::load_command(Self::command(), line)?;
        let mut args = Self::from_arg_matches(&matches)?;
        args.description = Self::describe(&matches);
        // Not by rules of the command, which do not see the values of a file.
        args.check_together()?;
        Ok((args, matches))
    }

    /// The matches of a command line (with the name of the program first), of the environment and of
    /// the file that `--config` names. In the file of another command than the server's, the server's
    /// options have no effect, so that both can read the same file.
    ///
    /// # Errors
    /// See [`Args::load`].
    pub(crate) fn load_command(
        command: Command,
        line: &[OsString],
    ) -> Result<ArgMatches, ConfigError> {
        let command = command.mut_args(with_variable);
        let config = command
            .clone()
            .ignore_errors(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .try_get_matches_from(line)?
            .get_one::<PathBuf>("config")
            .cloned();
        let command = match config {
            Some(path) => with_file(command, &path)?,
            None => command,
        };
        Ok(command.try_get_matches_from(line)?)
    }

    /// The option `--config`.
    pub(crate) fn config_option() -> Arg {
        let command = Self::plain_command();
        let mut options = command.get_arguments().filter(|arg| arg.get_id() == "config");
        options.next().cloned().unwrap_or_else(|| unreachable!("the server has this option"))
    }

    /// The command with a variable of the environment for each option.
    #[must_use]
    pub fn with_environment() -> Command {
        Self::command().mut_args(with_variable)
    }
}

pub(super) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !CONTROL.contains(&arg.get_id().as_str()))
}

/// Sets the variable of the environment: `TANDEM_` and the name of the option.
fn with_variable(arg: Arg) -> Arg {
    match variable_of(&arg) {
        None => arg,
        Some(variable) => arg.env(variable).hide_env_values(true).hide_env(true),
    }
}

/// Name of the variable of an option.
pub(super) fn variable_of(arg: &Arg) -> Option<String> {
    match arg.get_long() {
        Some("help" | "version" | "print-config" | "check") | None => None,
        Some(name) => Some(format!("TANDEM_{}", name.replace('-', "_").to_uppercase())),
    }
}

/// Makes the values of a file the defaults of the command, which options and environment override.
fn with_file(mut command: Command, path: &Path) -> Result<Command, ConfigError> {
    let path_of = || path.to_owned();
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path_of(), source })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path_of(),
        reason: toml_reason(&text, &error),
    })?;
    for (name, value) in table {
        let found = options(&command).find(|arg| arg.get_long() == Some(&name));
        let Some((id, action)) = found.map(|arg| (arg.get_id().clone(), arg.get_action().clone()))
        else {
            if options(&Args::plain_command()).any(|arg| arg.get_long() == Some(&name)) {
                // Of the server, whose file another command reads.
                continue;
            }
            return Err(ConfigError::Unknown { path: path_of(), name });
        };
        let takes_list = matches!(action, ArgAction::Append);
        let values = match (value, takes_list) {
            (Value::Array(values), true) => values.iter().map(scalar).collect::<Option<Vec<_>>>(),
            (Value::Boolean(set), false) if !action.takes_values() => Some(vec![set.to_string()]),
            (value, _) if action.takes_values() => scalar(&value).map(|value| vec![value]),
            (value, _) => {
                let (expected, found) = ("true or false", value.type_str());
                return Err(ConfigError::Type { path: path_of(), name, expected, found });
            }
        };
        let Some(values) = values else {
            let expected = if takes_list { "a list of texts" } else { "a text or a number" };
            let found = "a value of another type";
            return Err(ConfigError::Type { path: path_of(), name, expected, found });
        };
        command = command.mut_arg(id, |arg| arg.required(false).default_values(values));
    }
    Ok(command)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::ReleasePlace;

    const REQUIRED: [&str; 7] = ["cloud-server", "--gguf", "g", "--data", "d", "--artifacts", "a"];

    fn load(options: &[&str]) -> Result<(Args, ArgMatches), ConfigError> {
        let line: Vec<OsString> = options.iter().map(OsString::from).collect();
        Args::load(&line)
    }

    fn with(options: &[&str]) -> Result<Args, ConfigError> {
        load(&[&REQUIRED, options].concat()).map(|(args, _)| args)
    }

    #[test]
    fn a_refused_value_is_not_repeated() {
        for (option, value, part) in [
            ("--storage", "postgres://u:pa/ss@tdm_secret@h/x", "%2F"),
            ("--storage", "postgres://u:1/ss@tdm_secret@h/x", "%2F"),
            ("--storage", "mysql://u:tdm_secret@h/x", "`mysql:`"),
            ("--storage", "host=h user=u password=tdm_secret", "postgres://USER:PASSWORD@HOST"),
            ("--otlp-endpoint", "http://u:tdm_secret@:1x/", "http://127.0.0.1:4318"),
            ("--otlp-endpoint", "http://u:1/tdm_secret@h/", "http://127.0.0.1:4318"),
            ("--generator", "http://u:tdm_secret@models", "http://HOST:PORT"),
            ("--redis", "redis://u:1/tdm_secret@cache", "%2F"),
            ("--redis", "rediss://u:tdm_secret@cache", "TLS"),
            ("--event-stream", "nats://u:1/tdm_secret@h", "%2F"),
            ("--event-stream", "nats://u:pa/tdm_secret@h", "%2F"),
            ("--release", "s3:/tdm_secret", "s3://BUCKET/PREFIX"),
        ] {
            let error = with(&[option, value]).unwrap_err().to_string();
            assert!(!error.contains("tdm_secret"), "{option} {value}: {error}");
            assert!(error.contains(option) && error.contains(part), "{option} {value}: {error}");
            // The same in a file, and a line that is not TOML.
            let name = &option[2..];
            for line in [format!("{name} = \"{value}\""), format!("queue = 1\n{name} = \"{value}")]
            {
                let (_folder, path) = file(&line);
                let error = with(&["--config", &path]).unwrap_err().to_string();
                assert!(!error.contains("tdm_secret"), "{line}: {error}");
            }
        }
        let (_folder, path) = file("queue = 1\nstorage = \"x");
        let error = with(&["--config", &path]).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tandem.toml");
        fs::write(&path, text).unwrap();
        (folder, path.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_command_is_valid() {
        Args::with_environment().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(with(&["--timeout", "7"]).unwrap().timeout, Duration::from_secs(7));
        assert_eq!(with(&["--queue", "10000"]).unwrap().queue, 10_000);
        for (option, value) in [
            ("--threads", "0"),
            ("--threads", "513"),
            ("--queue", "0"),
            ("--timeout", "0"),
            ("--timeout", "601"),
            ("--port", "65536"),
            ("--max-connections", "0"),
            ("--rate-events", "-1"),
            ("--trusted-proxy", "proxy.example"),
        ] {
            assert!(with(&[option, value]).is_err(), "{option} {value} was accepted");
        }
    }

    #[test]
    fn a_file_sets_options_that_the_command_line_overrides() {
        let (_folder, path) = file(
            "data = \"d\"\nartifacts = \"a\"\ngguf = [\"x=1.gguf\", \"y=2.gguf\"]\nqueue = 3\n\
             port = 9000\ninsecure = true\nallow-origin = [\"https://shop.example\"]\n\
             trusted-proxy = \"127.0.0.1\"\n",
        );
        let (args, matches) = load(&["cloud-server", "--config", &path, "--port", "9001"]).unwrap();
        assert_eq!((args.queue, args.port, args.insecure), (3, 9001, true));
        assert_eq!(args.data.as_deref(), Some(Path::new("d")));
        assert_eq!(args.gguf.len(), 2);
        assert_eq!(args.allow_origin.len(), 1);
        assert_eq!(args.trusted_proxy, ["127.0.0.1/32".parse().unwrap()]);
        // The description is a configuration with the same options.
        let text = Args::describe(&matches);
        assert!(text.contains("queue = 3  # file\n"), "{text}");
        assert!(text.contains("port = 9001  # command line\n"), "{text}");
        assert!(text.contains("timeout = 20  # default\n"), "{text}");
        assert!(text.contains("# keys = …  # not set\n"), "{text}");
        assert!(text.contains("gguf = [\"x=1.gguf\", \"y=2.gguf\"]  # file\n"), "{text}");
        let (_folder, path) = file(&text);
        let (again, _) = load(&["cloud-server", "--config", &path]).unwrap();
        assert_eq!(format!("{:?}", again.limits()), format!("{:?}", args.limits()));
        assert_eq!((again.port, again.insecure, again.gguf), (9001, true, args.gguf));
    }

    #[test]
    fn faults_of_a_file_are_named() {
        for (text, part) in [
            ("queueu = 3", "`queueu`, which is not an option"),
            ("config = \"x\"", "`config`, which is not an option"),
            ("queue = 0", "0 is not in 1..=10000"),
            ("queue = true", "expected a text or a number for `queue`"),
            ("insecure = 1", "expected true or false for `insecure`, found integer"),
            ("queue = ", "is not a TOML file"),
        ] {
            let (_folder, path) = file(text);
            let error = with(&["--config", &path]).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = with(&["--config", "/nowhere.toml"]).unwrap_err().to_string();
        assert!(error.contains("/nowhere.toml"), "{error}");
    }

    /// The rows of the option table: name and default.
    #[test]
    fn the_readme_has_every_option_with_its_default() {
        let rows: Vec<(&str, &str)> = include_str!("../../README.md")
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `--")?.split('|').map(str::trim);
                let name = cells.next()?.split([' ', '`']).next()?;
                Some((name, cells.next()?.trim_matches('`')))
            })
            .collect();
        let command = Args::command();
        let options = command.get_arguments().filter_map(|arg| Some((arg.get_long()?, arg)));
        let mut documented = 0;
        for (name, arg) in options.filter(|(name, _)| !matches!(*name, "help" | "version")) {
            let row = rows.iter().find(|(option, _)| *option == name);
            let (_, default) = row.unwrap_or_else(|| panic!("--{name} is not in the README"));
            documented += 1;
            for value in arg.get_default_values() {
                assert_eq!(*default, value, "default of --{name}");
            }
        }
        assert_eq!(documented, rows.len(), "the README has an option that does not exist");
    }

    #[test]
    fn missing_options_are_named() {
        let error = load(&["cloud-server", "--gguf", "g"]).unwrap_err().to_string();
        assert!(error.contains("found no --data, --artifacts;"), "{error}");
    }

    #[test]
    fn a_release_or_all_parts_are_required() {
        let parse = |line: &str| load(&line.split(' ').collect::<Vec<_>>()).map(|(args, _)| args);
        assert!(parse("cloud-server --release shop").is_ok());
        assert!(parse("cloud-server --data d --artifacts a --gguf g").is_ok());
        for wrong in [
            "cloud-server",
            "cloud-server --data d --artifacts a",
            "cloud-server --data d --gguf g",
            "cloud-server --release shop --gguf g",
            "cloud-server --release shop --site s --client c",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_part_that_a_release_has_is_refused_with_what_to_do() {
        for (option, part) in [
            ("--gguf", "a language model"),
            ("--data", "a dataset"),
            ("--artifacts", "artefacts"),
            ("--signals", "ranking signals"),
        ] {
            let error = load(&["cloud-server", "--release", "shop", option, "x"]).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&format!("each release has {part}")), "{error}");
            assert!(error.contains(&format!("leave {option} out")), "{error}");
            // What is left without --release would not do alone.
            assert!(error.contains("give --data, --artifacts and --gguf"), "{error}");
        }
    }

    #[test]
    fn an_origin_with_a_password_is_refused_without_showing_it() {
        let origin = "http://anna:secret@shop.example";
        let line = ["cloud-server", "--release", "shop", "--allow-origin", origin];
        let (_folder, path) = file(&format!("release = \"shop\"\nallow-origin = [\"{origin}\"]\n"));
        for error in [load(&line), load(&["cloud-server", "--config", &path])] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains("…@shop.example") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_option_without_effect_is_refused() {
        let parts = "cloud-server --data d --artifacts a --gguf g";
        let release = "cloud-server --release shop";
        let generator = "cloud-server --release shop --generator http://127.0.0.1:1";
        for (line, options) in [
            (parts, ["--release-max-size 5", "--release"]),
            (release, ["--events-max-size 5", "--events"]),
            (release, ["--otlp-sample 5", "--otlp-endpoint"]),
            (release, ["--embedder e", "--storage"]),
            (release, ["--shared-lists 5", "--redis"]),
            (release, ["--redis redis://h --shared-lists-items 5", "--shared-lists"]),
            (release, ["--store-events", "--storage"]),
            (release, ["--stored-keys", "--storage"]),
            (release, ["--storage s --keys k --stored-keys", "leave one of them out"]),
            (release, ["--keep-events-days 5", "--store-events"]),
            (release, ["--event-stream nats://n --storage s", "--store-events"]),
            (release, ["--release-cache c", "URL of an object store"]),
            ("cloud-server --release s3://shop", ["--queue 4", "--release-cache"]),
            (generator, ["--embedder e --storage s", "--generator"]),
        ] {
            let line = format!("{line} {}", options[0]);
            let error = load(&line.split(' ').collect::<Vec<_>>()).unwrap_err();
            assert!(matches!(error, ConfigError::Together(_)), "{line}: {error}");
            assert!(error.to_string().contains(options[1]), "{line}: {error}");
        }
    }

    #[test]
    fn a_release_and_a_client_may_be_set_in_a_file() {
        let (_folder, path) = file("release = \"shop\"\nclient = \"pkg\"\n");
        let (args, matches) = load(&["cloud-server", "--config", &path]).unwrap();
        assert_eq!(args.release, Some(ReleasePlace::Folder("shop".into())));
        assert_eq!(args.client.as_deref(), Some(Path::new("pkg")));
        assert!(Args::describe(&matches).contains("release = \"shop\"  # file\n"));
        // Options of other sources contradict it as those of the file do.
        for options in [["--gguf", "g"], ["--site", "s"]] {
            let error = load(&[&["cloud-server", "--config", &path], &options[..]].concat());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(options[0]) && error.contains("together"), "{error}");
        }
    }
}
