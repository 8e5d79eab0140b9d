//! Checks of commands that are not run because they build, download or train for hours: their
//! options, files and names must exist.

use std::{fmt::Write as _, fs, path::Path};

use clap::Parser;
use serde_json::Value;

use super::page::Command;
use crate::{cli::Cli, failure::Failure, process::Program, workspace::Workspace};

/// Parses the arguments with the program's own parser. `--help` at the end makes it stop after
/// parsing: an unknown option or an invalid value before it is an error.
pub(super) fn parsed_by_program(workspace: &Workspace, command: &Command) -> Result<(), String> {
    let ran = Program::new(&command.program, workspace.program(&command.program))
        .args(&command.args)
        .arg("--help")
        .collect_quietly();
    match ran {
        Ok((_, status)) if status.success() => Ok(()),
        Ok((_, status)) => Err(format!("its options are not accepted ({status})")),
        Err(failure) => Err(failure.to_string()),
    }
}

/// `cargo xtask …` is parsed; the packages, features, examples and folders of other commands
/// must exist.
pub(super) fn cargo(root: &Path, args: &[String]) -> Result<(), String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["xtask", rest @ ..] => Cli::try_parse_from(["cargo xtask"].iter().chain(rest))
            .map(drop)
            .map_err(|error| error.to_string()),
        ["install" | "run" | "test" | "clippy" | "build", rest @ ..] => cargo_options(root, rest),
        ["fmt" | "deny", ..] => Ok(()),
        _ => Err("expected a cargo command that this test knows".to_owned()),
    }
}

fn cargo_options(root: &Path, args: &[&str]) -> Result<(), String> {
    let value = |names: &[&str]| {
        let at = args.iter().position(|arg| names.contains(arg))?;
        args.get(at + 1).copied()
    };
    let folder = match (value(&["--path"]), value(&["-p", "--package"])) {
        (Some(path), _) => path.to_owned(),
        (None, Some(package)) => folder_of(root, package)
            .ok_or_else(|| format!("there is no package {package} in this workspace"))?,
        (None, None) => return Err("expected --path or -p".to_owned()),
    };
    let manifest = fs::read_to_string(root.join(&folder).join("Cargo.toml"))
        .map_err(|error| format!("{folder}/Cargo.toml: {error}"))?;
    let features = value(&["--features", "-F"]).into_iter().flat_map(|list| list.split(','));
    for feature in features {
        if manifest.lines().any(|line| line.starts_with(&format!("{feature} = "))) {
            continue;
        }
        return Err(format!("{folder} has no feature {feature}"));
    }
    if let Some(example) = value(&["--example"]) {
        let examples = root.join(&folder).join("examples");
        let exists = [format!("{example}.rs"), format!("{example}/main.rs")]
            .iter()
            .any(|file| examples.join(file).is_file());
        if !exists {
            return Err(format!("{folder} has no example {example}"));
        }
    }
    Ok(())
}

fn folder_of(root: &Path, package: &str) -> Option<String> {
    let short = package.strip_prefix("tandem-").unwrap_or(package);
    [format!("crates/{short}"), package.to_owned()]
        .into_iter()
        .find(|folder| root.join(folder).join("Cargo.toml").is_file())
}

/// `npm run SCRIPT`, `npm test` and `npm pack`: script and workspace must exist.
pub(super) fn npm(root: &Path, args: &[String]) -> Result<(), String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let workspace = args.iter().position(|arg| matches!(*arg, "--workspace" | "-w"));
    let manifest = match workspace {
        None => read_manifest(&root.join("package.json"))?,
        Some(at) => {
            let name = args.get(at + 1).ok_or("--workspace needs a name")?;
            workspace_manifest(root, name)?
        }
    };
    match args.as_slice() {
        ["run", script, ..] => match manifest["scripts"].get(*script) {
            Some(_) => Ok(()),
            None => Err(format!("package.json has no script {script}")),
        },
        ["install", file, ..] if file.starts_with('.') => {
            let packed = packed_name(&read_manifest(&root.join("pkg/package.json"))?);
            if file.ends_with(&format!("/{packed}")) {
                Ok(())
            } else {
                Err(format!("expected the path of {packed}, found {file}"))
            }
        }
        ["install", package, ..] if !package.starts_with('-') => {
            workspace_manifest(root, package).map(drop)
        }
        ["install" | "ci" | "pack" | "test", ..] => Ok(()),
        _ => Err("expected an npm command that this test knows".to_owned()),
    }
}

/// The file that `npm pack` makes of a package.
fn packed_name(manifest: &Value) -> String {
    let text = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
    let name = text("name").trim_start_matches('@').replace('/', "-");
    format!("{name}-{}.tgz", text("version"))
}

fn read_manifest(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The manifest of the workspace package called `name`.
fn workspace_manifest(root: &Path, name: &str) -> Result<Value, String> {
    let mut folders = vec![root.join("pkg"), root.join("web"), root.join("web/bench")];
    let examples = fs::read_dir(root.join("examples")).map_err(|error| error.to_string())?;
    folders.extend(examples.flatten().map(|entry| entry.path()));
    folders
        .iter()
        .filter_map(|folder| read_manifest(&folder.join("package.json")).ok())
        .find(|manifest| manifest["name"] == name)
        .ok_or_else(|| format!("no workspace package is called {name}"))
}

/// `node FILE` and `node --test FILE`: the file must exist.
pub(super) fn node(root: &Path, args: &[String]) -> Result<(), String> {
    let file = args.iter().find(|arg| !arg.starts_with('-')).ok_or("expected a file")?;
    if root.join(file).is_file() { Ok(()) } else { Err(format!("{file} does not exist")) }
}

/// A `curl` command as a request of HTTP/1.1: method and path, headers, body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    /// `GET` or `POST`, by the body, if absent.
    method: Option<String>,
    headers: Vec<String>,
    body: Option<String>,
}

impl Request {
    /// Reads the options that pages use: `-s`, `-i`, `-si`, `-X`, `-H`, `-d`.
    pub(super) fn parse(args: &[String]) -> Result<Self, String> {
        let (mut path, mut method, mut headers, mut body) = (None, None, Vec::new(), None);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-s" | "-i" | "-si" => {}
                "-X" => method = Some(args.next().ok_or("-X needs a method")?.clone()),
                "-H" => headers.push(args.next().ok_or("-H needs a header")?.clone()),
                "-d" => body = Some(args.next().ok_or("-d needs a body")?.clone()),
                url if url.starts_with("http://") => {
                    let rest = &url["http://".len()..];
                    path = rest.find('/').map(|at| rest[at..].to_owned());
                }
                other => return Err(format!("this test does not know curl's argument {other}")),
            }
        }
        let path = path.ok_or("expected an address with a path")?;
        Ok(Self { path, method, headers, body })
    }

    /// The request as it is sent to `host`.
    pub(super) fn text(&self, host: &str) -> String {
        let usual = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(usual);
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: {host}\r\n", self.path);
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        let body = self.body.as_deref().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        text
    }
}

/// A failure of running a command, in words.
pub(super) fn run(program: Program) -> Result<(), String> {
    program.run().map_err(|failure: Failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn wrong_names_of_cargo_and_npm_commands_are_found() {
        let cargo = |text: &str| cargo(root(), &words(text));
        assert_eq!(cargo("xtask demo --port 9000"), Ok(()));
        assert!(cargo("xtask demo --prot 9000").unwrap_err().contains("--prot"));
        assert_eq!(cargo("install --path crates/trainer --features llama"), Ok(()));
        assert!(
            cargo("install --path crates/trainer --features lama").unwrap_err().contains("lama")
        );
        assert!(cargo("run -p tandem-none").is_err() && cargo("frobnicate").is_err());
        let npm = |text: &str| npm(root(), &words(text));
        assert_eq!(npm("run build"), Ok(()));
        assert!(npm("run biuld").is_err() && npm("run dev --workspace @tandem-rec/none").is_err());
        assert_eq!(npm("pack --workspace @tandem-rec/client"), Ok(()));
        assert!(node(root(), &words("--test web/e2e/none.mjs")).is_err());
    }

    #[test]
    fn curl_becomes_a_request() {
        let args = ["-s", "http://127.0.0.1:8080/v1/rows", "-H", "a: b", "-d", "{}"];
        let request = Request::parse(&args.map(str::to_owned)).unwrap();
        assert_eq!(
            request.text("h:1"),
            "POST /v1/rows HTTP/1.1\r\nHost: h:1\r\na: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
        );
        let args = ["-X", "DELETE", "http://127.0.0.1:8080/v1/users/s1"].map(str::to_owned);
        let request = Request::parse(&args).unwrap();
        assert!(request.text("h:1").starts_with("DELETE /v1/users/s1 HTTP/1.1\r\n"));
        assert!(Request::parse(&["--http3".to_owned()]).unwrap_err().contains("--http3"));
    }
}
