//! The repository rules that a program can check: allowed dependencies, import circles, generated
//! types, file lengths, paths in documents, and no traces of a machine.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::{
    cli::TidyOptions, failure::Failure, process::Program, progress::say, types,
    workspace::Workspace,
};

mod circles;
mod dependencies;
mod documents;
mod files;
mod source;

/// `cargo xtask tidy`
pub(crate) fn run(workspace: &Workspace, options: &TidyOptions) -> Result<(), Failure> {
    say("Checking", "repository rules");
    let files = tracked(workspace)?;
    let mut broken = dependencies::check(workspace)?;
    broken.extend(import_circles(workspace, &files)?);
    broken.extend(files::too_long(workspace.root(), &files));
    broken.extend(documents::missing_paths(workspace.root(), &files));
    broken.extend(files::machine_traces(workspace.root(), &files));
    if !options.no_build {
        match types::check(workspace) {
            Err(Failure::Check(reason)) => broken.push(reason),
            checked => checked?,
        }
    }
    for rule in &broken {
        say("Broken", rule);
    }
    match broken.len() {
        0 => Ok(()),
        count => Err(Failure::Check(format!(
            "{count} repository rules are broken; CONTRIBUTING.md explains them"
        ))),
    }
}

/// Files of the repository: tracked by git, or new and not ignored.
fn tracked(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let listed = Program::new("git ls-files", "git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .dir(workspace.root())
        .output()?;
    let files: BTreeSet<PathBuf> =
        listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    Ok(files.into_iter().filter(|file| workspace.at(file).is_file()).collect())
}

/// Import circles of every crate with a `src` folder.
fn import_circles(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let roots = files.iter().filter(|file| file.ends_with("Cargo.toml"));
    let mut found = Vec::new();
    for folder in roots.filter_map(|manifest| manifest.parent()) {
        let source = folder.join("src");
        let mut modules = Vec::new();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
            let Ok(below) = file.strip_prefix(&source) else { continue };
            let path = workspace.at(file);
            let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
            modules.push((below.to_owned(), text));
        }
        found.extend(circles::circles(&folder.to_string_lossy(), &modules));
    }
    Ok(found)
}
