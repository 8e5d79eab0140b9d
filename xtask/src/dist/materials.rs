//! What the programs are made of: dependencies, their licences, and a bill of materials.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use serde_json::{Value, json};

use crate::{failure::Failure, workspace::Workspace};

/// Beginnings of the names of files with a licence.
const LICENCE_FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];
/// Depth of the folders in which licences are searched: packages contain the sources of C
/// libraries, such as llama.cpp, with licences of their own.
const DEPTH: usize = 2;
/// Files larger than this are no licences.
const MAX_LICENCE: u64 = 200_000;

/// Work of other people that is no package of its own, in files of the programs.
pub(super) struct Embedded {
    name: &'static str,
    licence: &'static str,
    /// Its licence files, in the checkout.
    files: &'static [&'static str],
}

/// What is embedded in `cloud-server`. All other pages, scripts, styles and icons are of this
/// project; there are no fonts.
pub(super) const EMBEDDED: [Embedded; 1] = [Embedded {
    name: "Swagger UI 5.32.6",
    licence: "Apache-2.0; the licences of the packages in its script are below",
    files: &[
        "cloud-server/src/api_docs/licenses/NOTICE",
        "cloud-server/src/api_docs/licenses/LICENSE",
        "cloud-server/src/api_docs/licenses/BUNDLED.txt",
    ],
}];

/// The packages of other people that `roots` need, sorted by name and version.
///
/// # Errors
/// If cargo did not resolve the dependencies.
pub(super) fn dependencies<'m>(
    metadata: &'m Metadata,
    roots: &[&str],
    follows: impl Fn(DependencyKind) -> bool,
) -> Result<Vec<&'m Package>, Failure> {
    let Some(resolve) = &metadata.resolve else {
        return Err(Failure::Check("cargo metadata has no resolved dependencies".to_owned()));
    };
    let edges: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let is_root = |package: &&Package| roots.contains(&package.name.as_str());
    let mut waiting: Vec<&PackageId> =
        metadata.packages.iter().filter(is_root).map(|package| &package.id).collect();
    let mut seen: BTreeSet<&PackageId> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        for dependency in edges.get(id).into_iter().flat_map(|dependencies| dependencies.iter()) {
            let is_used = dependency.dep_kinds.iter().any(|kind| follows(kind.kind));
            if is_used && seen.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    let is_foreign = |package: &&Package| package.source.is_some() && seen.contains(&package.id);
    let mut packages: Vec<&Package> = metadata.packages.iter().filter(is_foreign).collect();
    packages.sort_by(|a, b| (a.name.as_str(), &a.version).cmp(&(b.name.as_str(), &b.version)));
    Ok(packages)
}

/// Names, licences and the texts of the licences. Equal texts occur once.
///
/// # Errors
/// If a licence of embedded files cannot be read.
pub(super) fn licences(
    packages: &[&Package],
    embedded: &[Embedded],
    workspace: &Workspace,
) -> Result<String, Failure> {
    let mut text = "Work of others in this release, with its licences.\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Embedded { name, licence, files } in embedded {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {licence}");
        for file in *files {
            let path = workspace.at(file);
            let found = fs::read_to_string(&path).map_err(Failure::file(&path))?;
            texts.entry(found).or_default().push((*name).to_owned());
        }
    }
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its licence file");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {licence}");
        for found in licence_texts(package) {
            texts.entry(found).or_default().push(name.clone());
        }
    }
    for (found, names) in texts {
        let line = "-".repeat(80);
        let _ = write!(text, "\n{line}\n{}\n{line}\n\n{}\n", names.join(", "), found.trim());
    }
    Ok(text)
}

fn licence_texts(package: &Package) -> Vec<String> {
    let mut files = Vec::new();
    if let Some(folder) = package.manifest_path.parent() {
        find_licences(folder.as_std_path(), DEPTH, &mut files);
    }
    files.sort();
    files.into_iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

fn find_licences(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if metadata.is_dir() && depth > 0 {
            find_licences(&entry.path(), depth - 1, found);
        } else if metadata.is_file()
            && metadata.len() < MAX_LICENCE
            && LICENCE_FILES.iter().any(|start| name.starts_with(start))
        {
            found.push(entry.path());
        }
    }
}

/// The bill of materials, `CycloneDX` 1.5 in JSON.
///
/// # Errors
/// If `Cargo.lock` cannot be read.
pub(super) fn bill(packages: &[&Package], workspace: &Workspace) -> Result<String, Failure> {
    let lock = workspace.at("Cargo.lock");
    let lock = fs::read_to_string(&lock).map_err(Failure::file(lock))?;
    let components: Vec<Value> = packages
        .iter()
        .map(|package| {
            let (name, version) = (package.name.as_str(), package.version.to_string());
            let mut component = json!({
                "type": "library",
                "name": name,
                "version": version,
                "purl": format!("pkg:cargo/{name}@{version}"),
            });
            if let Some(licence) = &package.license {
                // Older manifests separate alternatives by a slash.
                let expression = licence.replace('/', " OR ");
                component["licenses"] = json!([{ "expression": expression }]);
            }
            if let Some(hash) = checksum(&lock, name, &version) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": hash }]);
            }
            component
        })
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "tandem", "version": env!("CARGO_PKG_VERSION"),
        } },
        "components": components,
    });
    Ok(format!("{bill:#}\n"))
}

/// The checksum of a package in `Cargo.lock`.
fn checksum<'l>(lock: &'l str, name: &str, version: &str) -> Option<&'l str> {
    let start = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let entry = lock.split("[[package]]\n").find(|entry| entry.starts_with(&start))?;
    let line = entry.lines().find_map(|line| line.strip_prefix("checksum = \""))?;
    line.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::locate().unwrap()
    }

    #[test]
    fn licences_name_embedded_files_and_sources_within_packages() {
        let workspace = workspace();
        let target = super::super::target(&workspace).unwrap();
        let metadata = super::super::metadata(&workspace, &target, &[]).unwrap();
        let roots = ["cloud-server", "tandem-trainer"];
        let used =
            dependencies(&metadata, &roots, |kind| kind != DependencyKind::Development).unwrap();
        let text = licences(&used, &EMBEDDED, &workspace).unwrap();
        for part in [
            "\nSwagger UI 5.32.6: Apache-2.0",
            "Copyright 2020-2021 SmartBear Software Inc.",
            "Apache License\n                           Version 2.0",
            "react-dom.production.min.js",
            "DOMPurify",
            // llama.cpp, in a package that builds it.
            "The ggml authors",
        ] {
            assert!(text.contains(part), "the licences lack {part:?}");
        }
    }

    /// Fails when a file is embedded that nobody has looked at.
    #[test]
    fn only_known_files_of_others_are_embedded() {
        let workspace = workspace();
        let mut found = BTreeSet::new();
        collect_embedded(&workspace.at("cloud-server/src"), &mut found);
        let known = ["swagger-ui-bundle.js.gz", "swagger-ui.css.gz"].map(str::to_owned);
        assert_eq!(found, BTreeSet::from(known), "add the licence of the new file to `EMBEDDED`");
        let build = fs::read_to_string(workspace.at("cloud-server/build.rs")).unwrap();
        let version = EMBEDDED[0].name.rsplit(' ').next().unwrap();
        assert!(
            build.contains(&format!("\"{version}\"")),
            "cloud-server/build.rs takes another version of Swagger UI than {version}"
        );
    }

    /// Names of the files that build scripts write and the programs contain.
    fn collect_embedded(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect_embedded(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let embedded = text.split("env!(\"OUT_DIR\"), \"/").skip(1);
                found.extend(embedded.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            } else {
                let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
                let is_font = [".woff", ".woff2", ".ttf", ".otf"];
                if is_font.iter().any(|ending| name.ends_with(ending)) || name.contains(".min.") {
                    found.insert(name);
                }
            }
        }
    }

    #[test]
    fn checksums_are_those_of_name_and_version() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\
            checksum = \"11\"\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\n\
            source = \"x\"\nchecksum = \"22\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        assert_eq!(checksum(lock, "a", "2.0.0"), Some("22"));
        assert_eq!(checksum(lock, "a", "1.0.0"), Some("11"));
        assert_eq!(checksum(lock, "b", "1.0.0"), None);
    }
}
