//! Tests every command in the `sh` blocks of the Markdown files of this repository.
//!
//! Each command is in one class:
//!
//! | class | commands | what is tested |
//! |---|---|---|
//! | executed | `tandem` and `cloud-server` in the README and in the page about imports; every `curl` | run on small files of this test's own; must succeed |
//! | parsed | `tandem` and `cloud-server` in other pages, which need research data or hours; `cargo xtask` | arguments are accepted by the program's own parser |
//! | checked | other `cargo`, `npm` and `node` commands | packages, features, examples, scripts and files exist |
//!
//! Any other program fails the test.

mod check;
mod page;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    cargo,
    failure::Failure,
    process::Program,
    progress::say,
    server::{self, Server},
    tally::Tally,
    workspace::Workspace,
};
use check::Request;
use page::Command;

/// The pages whose commands are executed, first of all and in this order.
const EXECUTED: [&str; 2] = ["README.md", "docs/own-data.md"];

/// A command may compute this long before it answers a request.
const ANSWER: Duration = Duration::from_mins(1);

/// How a command is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Executed,
    Parsed,
    Checked,
}

/// Whether a command imports a log outside of memory.
fn needs_datafusion(command: &Command) -> bool {
    let options = ["--memory", "--cluster"];
    command.args.first().is_some_and(|first| first == "cluster")
        || command.args.iter().any(|arg| options.contains(&arg.as_str()))
}

fn class(page: &Path, command: &Command) -> Class {
    match command.program.as_str() {
        "curl" => Class::Executed,
        "cargo" if command.args.first().is_some_and(|first| first == "xtask") => Class::Parsed,
        // The build of the tests has no DataFusion.
        "tandem" if needs_datafusion(command) => Class::Parsed,
        "tandem" | "cloud-server" if place(page) < EXECUTED.len() => Class::Executed,
        "tandem" | "cloud-server" => Class::Parsed,
        _ => Class::Checked,
    }
}

/// Position among [`EXECUTED`]; its length for other pages.
fn place(page: &Path) -> usize {
    EXECUTED.iter().position(|name| page == Path::new(name)).unwrap_or(EXECUTED.len())
}

/// `cargo xtask docs`
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    cargo::build_programs(workspace)?;
    let tally = test(workspace)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 { Ok(()) } else { Err(Failure::Reported { status: 1 }) }
}

/// Tests all pages. `tandem` and `cloud-server` must be built.
pub(crate) fn test(workspace: &Workspace) -> Result<Tally, Failure> {
    let sandbox = Sandbox::new()?;
    let mut tally = Tally::default();
    for page in pages(workspace.root())? {
        let name = page.display();
        let commands = match commands(workspace.root(), &page, sandbox.0.path()) {
            Ok(commands) => commands,
            Err(failure) => {
                say("FAILED", format!("{name}: {failure}"));
                tally.fail(format!("{name}: {failure}"));
                continue;
            }
        };
        // One server for all requests of a page.
        let mut server = None;
        for command in commands {
            let class = class(&page, &command);
            let place = format!("{name}:{} {}", command.line, command.text().replace('\n', " "));
            say(&format!("{class:?}"), &place);
            match sandbox.test(workspace, class, &command, &mut server) {
                Ok(()) => tally.passed += 1,
                Err(reason) => {
                    say("FAILED", &reason);
                    tally.fail(format!("{place}: {reason}"));
                }
            }
        }
        if let Some(server) = server {
            Server::stop(server);
        }
    }
    Ok(tally)
}

/// Markdown files of the repository, [`EXECUTED`] first: others use what it makes.
fn pages(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = Program::new("git ls-files", "git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"])
        .dir(root)
        .output()?;
    let mut pages: Vec<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    pages.retain(|page| root.join(page).is_file());
    pages.sort_by_key(|page| (place(page), page.clone()));
    Ok(pages)
}

fn commands(root: &Path, page: &Path, folder: &Path) -> Result<Vec<Command>, Failure> {
    let path = root.join(page);
    let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    let blocks = page::blocks(&text).map_err(Failure::Check)?;
    page::commands(&blocks, folder)
}

/// A folder with the logs and the catalogue that the commands begin with.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::file(std::env::temp_dir()))?;
        let mut log = "user,item,timestamp\n".to_owned();
        let mut items = "item,title\n".to_owned();
        for item in 0..30 {
            // Writing to a string does not fail.
            let _ = writeln!(items, "{item},Film {item}");
        }
        for user in 0..40 {
            for step in 0..8 {
                let item = (user * 7 + step * (1 + user % 3)) % 30;
                let _ = writeln!(log, "{user},{item},{step}");
            }
        }
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).map_err(Failure::file(path))
        };
        file("clicks.csv", &log)?;
        file("items.csv", &items)?;
        // Files of the page about imports.
        let months = folder.path().join("log");
        fs::create_dir(&months).map_err(Failure::file(&months))?;
        file("log/january.csv", &log)?;
        file("archive.json", "[{\"userId\": 1, \"itemId\": 2, \"createdAt\": 3}]")?;
        file("u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")?;
        file("ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.5,881250949\n")?;
        file("events.jsonl", "{\"user\": 1, \"item\": 2, \"event\": \"like\"}\n")?;
        file("orders.csv", "customer_id;sku;created_at\n1;2;2024-05-01 10:00:00\n")?;
        Ok(Self(folder))
    }

    fn test(
        &self,
        workspace: &Workspace,
        class: Class,
        command: &Command,
        server: &mut Option<Server>,
    ) -> Result<(), String> {
        let root = workspace.root();
        match (class, command.program.as_str()) {
            (Class::Executed, "curl") => self.request(workspace, command, server),
            (Class::Executed, _) => self.execute(workspace, command),
            (_, "cargo") => check::cargo(root, &command.args),
            (Class::Parsed, _) => check::parsed_by_program(workspace, command),
            (Class::Checked, "npm") => check::npm(root, &command.args),
            (Class::Checked, "node") => check::node(root, &command.args),
            (Class::Checked, other) => Err(format!("this test does not know {other}")),
        }
    }

    /// Runs a command as it is documented. Training gets a limit of one epoch, and a server a
    /// free port; it is stopped when it is ready.
    fn execute(&self, workspace: &Workspace, command: &Command) -> Result<(), String> {
        let program = self.program(workspace, &command.program).args(&command.args);
        if command.program == "cloud-server" {
            let server = server::launch(program.args(["--port", "0"]), &self.path("port"));
            return server.map(Server::stop).map_err(|failure| failure.to_string());
        }
        check::run(match command.args.first().map(String::as_str) {
            Some("train") => program.args(["--epochs", "1"]),
            // The first epoch is trained at any rate.
            Some("quickstart") => program.args(["--minutes", "0"]),
            _ => program,
        })
    }

    /// Sends a request to a server that has what the README's commands made.
    fn request(
        &self,
        workspace: &Workspace,
        command: &Command,
        server: &mut Option<Server>,
    ) -> Result<(), String> {
        let request = Request::parse(&command.args)?;
        let server = match server {
            Some(server) => server,
            none => none.insert(self.server(workspace).map_err(|failure| failure.to_string())?),
        };
        let host = server.address().to_string();
        match server::exchange(server.address(), &request.text(&host), ANSWER) {
            Some(status) if (200..300).contains(&status) => Ok(()),
            Some(status) => Err(format!("the answer has status {status}")),
            None => Err("there was no answer".to_owned()),
        }
    }

    fn server(&self, workspace: &Workspace) -> Result<Server, Failure> {
        let program = self.program(workspace, "cloud-server").args([
            "--release",
            "shop",
            "--events",
            "log",
            "--port",
            "0",
        ]);
        server::launch(program, &self.path("port"))
    }

    fn program(&self, workspace: &Workspace, name: &str) -> Program {
        Program::new(name, workspace.program(name))
            .dir(self.0.path())
            .env("OMP_WAIT_POLICY", "passive")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs no programs: what `cargo xtask test` executes and parses beyond this.
    #[test]
    fn every_command_of_every_page_is_known_and_its_names_exist() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let sandbox = Sandbox::new().unwrap();
        let release = sandbox.path("shop/releases/0123");
        fs::create_dir_all(&release).unwrap();
        fs::write(sandbox.path("shop/current"), "0123").unwrap();
        fs::write(release.join("artifacts"), "4567").unwrap();
        let mut executed = Vec::new();
        for page in pages(root).unwrap() {
            let found = commands(root, &page, sandbox.0.path());
            let found = found.unwrap_or_else(|failure| panic!("{}: {failure}", page.display()));
            for command in found {
                let class = class(&page, &command);
                let result = match (class, command.program.as_str()) {
                    (_, "curl") => Request::parse(&command.args).map(drop),
                    (_, "cargo") => check::cargo(root, &command.args),
                    (Class::Checked, "npm") => check::npm(root, &command.args),
                    (Class::Checked, "node") => check::node(root, &command.args),
                    (Class::Checked, other) => Err(format!("{other} is not known")),
                    (Class::Executed | Class::Parsed, _) => Ok(()),
                };
                let place = format!("{}:{}", page.display(), command.line);
                assert_eq!(result, Ok(()), "{place}: {}", command.text());
                if class == Class::Executed {
                    executed.push(command.text());
                }
            }
        }
        for start in ["tandem quickstart", "cloud-server", "curl"] {
            assert!(executed.iter().any(|text| text.starts_with(start)), "{start}: {executed:?}");
        }
    }
}
