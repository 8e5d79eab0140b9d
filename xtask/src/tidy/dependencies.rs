//! Allowed dependencies: between the crates of this workspace, and on crates that decide what a
//! crate is.

use std::{collections::BTreeSet, fs, path::Path};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::{failure::Failure, workspace::Workspace};

/// What a package may depend on.
struct Rule {
    package: &'static str,
    /// Packages of this workspace.
    workspace: &'static [&'static str],
    /// Those of [`RESTRICTED`].
    external: &'static [&'static str],
}

/// External crates that only the packages with a rule for them may depend on. A `*` at the end
/// stands for any ending.
const RESTRICTED: [&str; 12] = [
    "actix-*",
    "ballista-*",
    "burn*",
    "datafusion*",
    "gloo*",
    "js-sys",
    "llama-cpp-2",
    "llama-cpp-sys-2",
    "serde-wasm-bindgen",
    "tokio",
    "wasm-bindgen*",
    "web-sys",
];

const RULES: [Rule; 19] = [
    Rule { package: "tandem-capacity", workspace: &[], external: &[] },
    Rule { package: "tandem-manual", workspace: &[], external: &[] },
    Rule { package: "tandem-fuzzing", workspace: &[], external: &[] },
    Rule { package: "tandem-protocol", workspace: &[], external: &[] },
    Rule { package: "tandem-collaboration", workspace: &["tandem-protocol"], external: &[] },
    Rule { package: "tandem-dataset", workspace: &["tandem-protocol"], external: &[] },
    Rule {
        package: "tandem-release-client",
        workspace: &["tandem-protocol", "tandem-dataset"],
        external: &[],
    },
    // The clients of object stores run on tokio.
    Rule { package: "tandem-release-store", workspace: &["tandem-dataset"], external: &["tokio"] },
    // DataFusion and Ballista run on tokio.
    Rule {
        package: "tandem-log-engine",
        workspace: &["tandem-dataset", "tandem-release-store"],
        external: &["ballista-*", "datafusion*", "tokio"],
    },
    Rule {
        package: "tandem-storage",
        workspace: &["tandem-protocol", "tandem-dataset"],
        external: &["tokio"],
    },
    Rule { package: "tandem-model", workspace: &["tandem-protocol"], external: &["burn*"] },
    Rule {
        package: "tandem-session",
        workspace: &["tandem-protocol", "tandem-collaboration", "tandem-model"],
        external: &[],
    },
    Rule {
        package: "tandem-generator",
        workspace: &["tandem-protocol", "tandem-dataset", "tandem-model"],
        external: &["llama-cpp-2", "llama-cpp-sys-2"],
    },
    Rule {
        package: "tandem-training",
        workspace: &[
            "tandem-protocol",
            "tandem-dataset",
            "tandem-model",
            "tandem-generator",
            "tandem-evaluation",
        ],
        external: &["burn*"],
    },
    Rule {
        package: "tandem-evaluation",
        workspace: &[
            "tandem-protocol",
            "tandem-collaboration",
            "tandem-dataset",
            "tandem-model",
            "tandem-session",
        ],
        external: &[],
    },
    Rule {
        package: "tandem-trainer",
        workspace: &[
            "tandem-protocol",
            "tandem-capacity",
            "tandem-collaboration",
            "tandem-dataset",
            "tandem-model",
            "tandem-session",
            "tandem-generator",
            "tandem-training",
            "tandem-evaluation",
            "tandem-log-engine",
            "tandem-manual",
            "tandem-release-client",
            "tandem-release-store",
        ],
        external: &["burn*"],
    },
    Rule {
        package: "wasm-client",
        workspace: &["tandem-protocol", "tandem-collaboration", "tandem-model", "tandem-session"],
        external: &["burn*", "gloo*", "js-sys", "serde-wasm-bindgen", "wasm-bindgen*", "web-sys"],
    },
    Rule {
        package: "cloud-server",
        workspace: &[
            "tandem-protocol",
            "tandem-dataset",
            "tandem-storage",
            "tandem-generator",
            "tandem-manual",
            "tandem-model",
            "tandem-release-client",
            "tandem-release-store",
        ],
        external: &["actix-*", "tokio"],
    },
    Rule { package: "xtask", workspace: &[], external: &["wasm-bindgen*"] },
];

/// The document whose code map has the same rules.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// Dependencies that no rule allows, and differences between the rules and the code map.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let metadata = MetadataCommand::new()
        .current_dir(workspace.root())
        .no_deps()
        .exec()
        .map_err(|error| Failure::Check(format!("cargo metadata failed: {error}")))?;
    let edges: Vec<Edge> = metadata.packages.iter().flat_map(edges).collect();
    let packages: Vec<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut broken = forbidden(&packages, &edges);

    let path = workspace.at(DOCUMENT);
    let document = fs::read_to_string(&path).map_err(Failure::file(&path))?;
    for package in &metadata.packages {
        let folder = package.manifest_path.parent().map_or("", |folder| folder.as_str());
        let folder = Path::new(folder).strip_prefix(workspace.root()).unwrap_or(Path::new(folder));
        broken.extend(code_map_difference(&document, &package.name, &folder.to_string_lossy()));
    }
    Ok(broken)
}

/// One package naming another in its manifest.
struct Edge {
    from: String,
    to: String,
    in_workspace: bool,
    for_tests: bool,
}

fn edges(package: &Package) -> Vec<Edge> {
    package
        .dependencies
        .iter()
        .map(|dependency| Edge {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            in_workspace: dependency.path.is_some(),
            for_tests: dependency.kind == DependencyKind::Development,
        })
        .collect()
}

fn rule(package: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.package == package)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn forbidden(packages: &[String], edges: &[Edge]) -> Vec<String> {
    let mut broken: Vec<String> = packages
        .iter()
        .filter(|name| rule(name).is_none())
        .map(|name| {
            format!("{name} has no rule: add one to RULES in xtask/src/tidy/dependencies.rs")
        })
        .collect();
    for Edge { from, to, in_workspace, for_tests } in edges {
        let Some(rule) = rule(from) else { continue };
        // Tests may choose a backend or set up a peer; that does not reach the product.
        if *for_tests {
            continue;
        }
        let restricted = RESTRICTED.iter().any(|pattern| matches(pattern, to));
        let allowed = if *in_workspace {
            rule.workspace.contains(&to.as_str())
        } else {
            !restricted || rule.external.iter().any(|pattern| matches(pattern, to))
        };
        if !allowed {
            broken.push(format!(
                "{from} may not depend on {to}: remove the dependency, or allow it in \
                 xtask/src/tidy/dependencies.rs and say why in the change"
            ));
        }
    }
    broken
}

/// Compares a package's rule with its row in the code map: `` | `folder` | … | `a`, `b` | ``.
fn code_map_difference(document: &str, package: &str, folder: &str) -> Option<String> {
    let rule = rule(package)?;
    let start = format!("| `{folder}` |");
    let Some(row) = document.lines().find(|line| line.starts_with(&start)) else {
        return Some(format!("{DOCUMENT}: the code map has no row for `{folder}`: add it"));
    };
    let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
    let listed: BTreeSet<&str> = cell.split('`').skip(1).step_by(2).collect();
    let expected: BTreeSet<&str> = rule.workspace.iter().copied().collect();
    if listed == expected {
        return None;
    }
    let all: Vec<&str> = expected.into_iter().collect();
    Some(format!(
        "{DOCUMENT}: the code map's row for `{folder}` must list the allowed dependencies of \
         xtask/src/tidy/dependencies.rs: {}",
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, for_tests: bool) -> Edge {
        let in_workspace = to.starts_with("tandem-") || to == "cloud-server";
        Edge { from: from.to_owned(), to: to.to_owned(), in_workspace, for_tests }
    }

    #[test]
    fn a_dependency_without_a_rule_is_refused() {
        let packages = ["tandem-collaboration".to_owned(), "tandem-new".to_owned()];
        let edges = [
            edge("tandem-collaboration", "tandem-protocol", false),
            edge("tandem-collaboration", "tandem-model", false),
            edge("tandem-collaboration", "burn-flex", false),
            edge("tandem-collaboration", "serde", false),
            edge("tandem-model", "burn", false),
            edge("tandem-model", "tandem-dataset", true),
            edge("tandem-evaluation", "cloud-server", false),
            edge("cloud-server", "burn", false),
        ];
        let found = forbidden(&packages, &edges);
        let starts = [
            "tandem-new has no rule",
            "tandem-collaboration may not depend on tandem-model",
            "tandem-collaboration may not depend on burn-flex",
            "tandem-evaluation may not depend on cloud-server",
            "cloud-server may not depend on burn",
        ];
        assert_eq!(found.len(), starts.len(), "{found:?}");
        for (found, start) in found.iter().zip(starts) {
            assert!(found.starts_with(start), "{found}");
        }
    }

    #[test]
    fn the_code_map_must_list_the_same_crates() {
        let row = |cell: &str| format!("| `crates/session` | the device | {cell} |\n");
        let check = |row: &str| code_map_difference(row, "tandem-session", "crates/session");
        let right = row("`tandem-model`, `tandem-protocol`, `tandem-collaboration`");
        assert_eq!(check(&right), None);
        let wrong = check(&row("`tandem-model`")).unwrap();
        assert!(wrong.contains("tandem-collaboration, tandem-model, tandem-protocol"), "{wrong}");
        assert!(check("").unwrap().contains("no row"));
        assert_eq!(code_map_difference("| `xtask` | tools | none |", "xtask", "xtask"), None);
    }
}
