//! The folder that the demo's servers serve: the built site, with the files and the addresses that
//! belong to this run. The build itself stays as it is, so that it is not out of date afterwards.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, workspace::Workspace};

/// What a page is told in its head, as `<meta name="tandem-NAME" content="VALUE">`.
pub(crate) type Notes<'a> = [(&'static str, &'a str)];

/// Copies the site and `files` (which keep their names) into `target/xtask/served/<name>`.
pub(crate) fn assemble(
    workspace: &Workspace,
    name: &str,
    site: &Path,
    files: &[PathBuf],
) -> Result<PathBuf, Failure> {
    let folder = workspace.target().join("xtask/served").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(Failure::file(&folder))?;
    }
    copy(site, &folder).map_err(Failure::file(&folder))?;
    for file in files {
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, folder.join(name)).map_err(Failure::file(file))?;
    }
    Ok(folder)
}

/// Adds notes to a page of an assembled folder. Its compressed copies are removed: they lack them.
pub(crate) fn note(folder: &Path, page: &str, notes: &Notes<'_>) -> Result<(), Failure> {
    let file = folder.join(page);
    let html = fs::read_to_string(&file).map_err(Failure::file(&file))?;
    fs::write(&file, with_notes(&html, notes)).map_err(Failure::file(&file))?;
    for ending in ["br", "gz"] {
        let copy = folder.join(format!("{page}.{ending}"));
        if copy.exists() {
            fs::remove_file(&copy).map_err(Failure::file(&copy))?;
        }
    }
    Ok(())
}

/// Copies the files of the folder `from` over those of an assembled folder; others stay.
pub(crate) fn add_files(folder: &Path, from: &Path) -> Result<(), Failure> {
    copy(from, folder).map_err(Failure::file(folder))
}

/// Puts a copy of the folder `from` in the place of the folder `to`.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(Failure::file(to))?;
    }
    copy(from, to).map_err(Failure::file(to))
}

/// Puts a copy of the folder `from` into an assembled folder, in the place of an older one.
pub(crate) fn add(folder: &Path, name: &str, from: &Path) -> Result<(), Failure> {
    replace(from, &folder.join(name))
}

fn with_notes(html: &str, notes: &Notes<'_>) -> String {
    let quoted = |value: &str| value.replace('&', "&amp;").replace('"', "&quot;");
    let tags = notes.iter().fold(String::new(), |all, (name, value)| {
        all + &format!("<meta name=\"tandem-{name}\" content=\"{}\" />", quoted(value))
    });
    html.replacen("</head>", &format!("{tags}</head>"), 1)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_its_notes_and_loses_the_copies_without_them() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("index.html");
        fs::write(&page, "<head><title>a</title></head><body></body>").unwrap();
        fs::write(folder.path().join("index.html.br"), "old").unwrap();
        note(folder.path(), "index.html", &[("visitors", "./a.json?b=\"c\"&d")]).unwrap();
        let html = fs::read_to_string(&page).unwrap();
        let tag = "<meta name=\"tandem-visitors\" content=\"./a.json?b=&quot;c&quot;&amp;d\" />";
        assert_eq!(html, format!("<head><title>a</title>{tag}</head><body></body>"));
        assert!(!folder.path().join("index.html.br").exists());
    }
}
