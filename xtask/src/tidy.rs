//! The rules of the house: who may know whom, how long a file may be, and that nothing of
//! the machine it was written on is in it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::{failure::Failure, process::Program, say, workspace::Workspace};

/// A package, the packages of this workspace it may depend on, and those of [`GUARDED`].
struct Rule(&'static str, &'static [&'static str], &'static [&'static str]);

/// Dependencies that decide what a package *is*: only those named in a rule may have them.
const GUARDED: [&str; 8] = [
    "actix-web",
    "burn",
    "gloo-net",
    "llama-cpp-2",
    "llama-cpp-sys-2",
    "tokio",
    "wasm-bindgen",
    "web-sys",
];

const RULES: [Rule; 12] = [
    Rule("tandem-protocol", &[], &[]),
    Rule("tandem-collaboration", &["tandem-protocol"], &[]),
    Rule("tandem-dataset", &["tandem-protocol"], &[]),
    Rule("tandem-model", &["tandem-protocol"], &["burn"]),
    Rule(
        "tandem-session",
        &["tandem-protocol", "tandem-collaboration", "tandem-model"],
        // In its tests, to choose a backend.
        &["burn"],
    ),
    Rule(
        "tandem-generator",
        &["tandem-protocol", "tandem-dataset"],
        &["llama-cpp-2", "llama-cpp-sys-2"],
    ),
    Rule(
        "tandem-evaluation",
        &[
            "tandem-protocol",
            "tandem-collaboration",
            "tandem-dataset",
            "tandem-model",
            "tandem-session",
        ],
        &[],
    ),
    Rule(
        "tandem-training",
        &[
            "tandem-protocol",
            "tandem-dataset",
            "tandem-model",
            "tandem-generator",
            "tandem-evaluation",
        ],
        &["burn"],
    ),
    Rule(
        "tandem-trainer",
        &[
            "tandem-protocol",
            "tandem-collaboration",
            "tandem-dataset",
            "tandem-model",
            "tandem-session",
            "tandem-generator",
            "tandem-evaluation",
            "tandem-training",
        ],
        &["burn"],
    ),
    Rule(
        "wasm-client",
        &["tandem-protocol", "tandem-collaboration", "tandem-model", "tandem-session"],
        &["gloo-net", "wasm-bindgen", "web-sys"],
    ),
    Rule(
        "cloud-server",
        &["tandem-protocol", "tandem-dataset", "tandem-generator"],
        &["actix-web", "tokio"],
    ),
    Rule("xtask", &[], &[]),
];

/// Longest file of code that a person still reads as a whole; tests are not counted.
const LONGEST: usize = 500;

/// `cargo xtask tidy`
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    say("Checking", "the rules of the house");
    let mut broken = dependencies(workspace)?;
    let files = tracked(workspace)?;
    broken.extend(lengths(workspace.root(), &files));
    broken.extend(traces(workspace.root(), &files));
    for rule in &broken {
        say("Broken", rule);
    }
    match broken.len() {
        0 => Ok(()),
        count => Err(Failure::Check(format!("{count} rules of the house are broken"))),
    }
}

fn dependencies(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace.root())
        .no_deps()
        .exec()
        .map_err(|error| Failure::Check(format!("cargo metadata: {error}")))?;
    let edges: Vec<Edge> = metadata.packages.iter().flat_map(edges).collect();
    let packages: Vec<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    Ok(forbidden(&packages, &edges))
}

/// One package naming another in its manifest.
struct Edge {
    from: String,
    to: String,
    within: bool,
    for_tests: bool,
}

fn edges(package: &Package) -> Vec<Edge> {
    package
        .dependencies
        .iter()
        .map(|dependency| Edge {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            within: dependency.path.is_some(),
            for_tests: dependency.kind == DependencyKind::Development,
        })
        .collect()
}

fn forbidden(packages: &[String], edges: &[Edge]) -> Vec<String> {
    let rule = |name: &str| RULES.iter().find(|rule| rule.0 == name);
    let mut broken: Vec<String> = packages
        .iter()
        .filter(|name| rule(name).is_none())
        .map(|name| format!("{name} has no rule: say in xtask/src/tidy.rs whom it may know"))
        .collect();
    for Edge { from, to, within, for_tests } in edges {
        let Some(Rule(_, inner, outer)) = rule(from) else { continue };
        let guarded = GUARDED.contains(&to.as_str());
        // Tests may choose a backend or set up a peer; nothing that ships learns of it.
        if (*within && !inner.contains(&to.as_str()) && !for_tests)
            || (guarded && !outer.contains(&to.as_str()) && !for_tests)
        {
            broken.push(format!("{from} may not depend on {to}"));
        }
    }
    broken
}

/// Files of the repository: what git tracks or would.
fn tracked(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let listed = Program::new("git ls-files", "git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .dir(workspace.root())
        .output()?;
    let files: BTreeSet<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    Ok(files.into_iter().filter(|file| workspace.at(file).is_file()).collect())
}

fn lengths(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let code = |file: &&PathBuf| {
        file.extension().is_some_and(|extension| extension == "rs" || extension == "ts")
            && !for_tests(file)
    };
    let mut broken = Vec::new();
    for file in files.iter().filter(code) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        let lines = code_lines(&text);
        if lines > LONGEST {
            broken.push(format!(
                "{} has {lines} lines of code, more than {LONGEST}: split it by concept",
                file.display()
            ));
        }
    }
    broken
}

fn for_tests(file: &Path) -> bool {
    file.iter().any(|part| part == "tests" || part == "test" || part == "e2e")
        || file.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name == "tests.rs" || name.ends_with(".test.ts")
        })
}

/// Lines before the module of unit tests.
fn code_lines(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

/// Absolute paths of the machine in files, and hosts of package registries in lock files.
fn traces(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let home = std::env::var("HOME").ok().filter(|home| home.len() > 1);
    let mut places = vec![format!("{}/", root.display())];
    places.extend(home.map(|home| format!("{home}/")));
    let mut broken = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for place in &places {
            if let Some(line) = text.lines().position(|line| names_path(line, place)) {
                broken.push(format!(
                    "{}:{}: names {place}, a folder of this machine",
                    file.display(),
                    line + 1
                ));
            }
        }
        let lock = file.file_name().is_some_and(|name| name == "package-lock.json");
        if lock && text.contains("\"resolved\": \"http") {
            broken.push(format!(
                "{}: names a registry's host; make it again with the .npmrc of this repository",
                file.display()
            ));
        }
    }
    broken
}

/// Whether `line` has `place` as a path of its own, not as the tail of a longer one.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-/~".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{Edge, code_lines, forbidden, names_path, traces};

    fn edge(from: &str, to: &str, for_tests: bool) -> Edge {
        let within = to.starts_with("tandem-") || to == "cloud-server";
        Edge { from: from.to_owned(), to: to.to_owned(), within, for_tests }
    }

    #[test]
    fn what_a_rule_does_not_name_is_forbidden() {
        let packages = ["tandem-collaboration".to_owned(), "tandem-new".to_owned()];
        let edges = [
            edge("tandem-collaboration", "tandem-protocol", false),
            edge("tandem-collaboration", "tandem-model", false),
            edge("tandem-collaboration", "burn", false),
            edge("tandem-collaboration", "serde", false),
            edge("tandem-model", "burn", false),
            edge("tandem-model", "tandem-dataset", true),
            edge("tandem-evaluation", "cloud-server", false),
            edge("cloud-server", "burn", false),
        ];
        assert_eq!(
            forbidden(&packages, &edges),
            [
                "tandem-new has no rule: say in xtask/src/tidy.rs whom it may know",
                "tandem-collaboration may not depend on tandem-model",
                "tandem-collaboration may not depend on burn",
                "tandem-evaluation may not depend on cloud-server",
                "cloud-server may not depend on burn",
            ]
        );
    }

    #[test]
    fn unit_tests_do_not_count_as_code() {
        assert_eq!(code_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(code_lines("a\nb\n"), 2);
    }

    #[test]
    fn a_path_counts_only_as_a_whole() {
        assert!(names_path("cd /srv/x/src", "/srv/x/"));
        assert!(names_path("\"/srv/x/src\"", "/srv/x/"));
        assert!(!names_path("target/srv/x/src", "/srv/x/"));
        assert!(!names_path("/srv/xy", "/srv/x/"));
    }

    #[test]
    fn traces_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let place = root.display();
        fs::write(root.join("note.md"), format!("fine\nsee {place}/src\n")).unwrap();
        let lock = "{\"resolved\": \"https://packages.example/a.tgz\"}";
        fs::write(root.join("package-lock.json"), lock).unwrap();
        let files = ["note.md", "package-lock.json", "absent"].map(PathBuf::from);
        let found = traces(root, &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("note.md:2: names "), "{found:?}");
        assert!(found[1].starts_with("package-lock.json: "), "{found:?}");
    }
}
