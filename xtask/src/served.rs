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
    write_page(folder, page, folder, notes)
}

/// Takes over the files of a newer build, `from`, into an assembled folder; its page gets `notes`.
/// Files of the older build stay for pages that are open. A visitor never gets the page without its
/// notes, nor before the files that it names.
pub(crate) fn renew(
    folder: &Path,
    from: &Path,
    page: &str,
    notes: &Notes<'_>,
) -> Result<(), Failure> {
    let is_page = |path: &Path| {
        ["", ".br", ".gz"].iter().any(|end| path == from.join(format!("{page}{end}")))
    };
    copy_if(from, folder, &|path| !is_page(path)).map_err(Failure::file(folder))?;
    write_page(folder, page, from, notes)
}

/// Writes the page of `from` with `notes` into `folder`.
fn write_page(folder: &Path, page: &str, from: &Path, notes: &Notes<'_>) -> Result<(), Failure> {
    let source = from.join(page);
    let html = fs::read_to_string(&source).map_err(Failure::file(&source))?;
    let (file, unfinished) = (folder.join(page), folder.join(format!(".{page}")));
    fs::write(&unfinished, with_notes(&html, notes)).map_err(Failure::file(&unfinished))?;
    fs::rename(&unfinished, &file).map_err(Failure::file(&file))?;
    for ending in ["br", "gz"] {
        let copy = folder.join(format!("{page}.{ending}"));
        if copy.exists() {
            fs::remove_file(&copy).map_err(Failure::file(&copy))?;
        }
    }
    Ok(())
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
    copy_if(from, to, &|_| true)
}

/// Copies the files of a folder for which `wanted` holds.
fn copy_if(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_if(&entry.path(), &target, wanted)?;
        } else if wanted(&entry.path()) {
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

    #[test]
    fn a_newer_build_keeps_the_notes_and_the_files_of_open_pages() {
        let home = tempfile::tempdir().unwrap();
        let (folder, build) = (home.path().join("served"), home.path().join("build"));
        let write = |file: &Path, text: &str| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(&folder.join("index.html"), "<head><meta name=\"tandem-visitors\"></head>old");
        write(&folder.join("assets/old.js"), "old");
        write(&folder.join("docs/index.html"), "documents");
        write(&build.join("index.html"), "<head></head>new");
        write(&build.join("index.html.br"), "new, without the notes");
        write(&build.join("assets/new.js"), "new");
        write(&build.join("assets/new.js.br"), "new");
        renew(&folder, &build, "index.html", &[("visitors", "./visitors.json")]).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(
            read("index.html"),
            "<head><meta name=\"tandem-visitors\" content=\"./visitors.json\" /></head>new"
        );
        assert_eq!(
            (read("assets/old.js"), read("docs/index.html")),
            ("old".into(), "documents".into())
        );
        assert_eq!((read("assets/new.js"), read("assets/new.js.br")), ("new".into(), "new".into()));
        assert!(!folder.join("index.html.br").exists());
        // The build itself is not changed.
        assert_eq!(fs::read_to_string(build.join("index.html")).unwrap(), "<head></head>new");
    }
}
