//! The demo as files for any static host: no server answers. Candidate lists are made in advance,
//! and the page takes them from files (`web/src/static-site`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::SiteOptions,
    demo::{self, Built},
    failure::Failure,
    node,
    progress::say,
    second_shop, served,
    server::Server,
    setup, site, wasm,
    workspace::Workspace,
};

/// Keeps GitHub Pages from hiding files, and marks the folder as one that may be replaced.
const MARKER: &str = ".nojekyll";
/// Copies and sources that a static host does not need; it compresses by itself.
const LEFT_OUT: [&str; 3] = ["br", "gz", "map"];
/// Pages and scripts that need a server of their own.
const NEED_A_SERVER: [&str; 2] = ["own.html", "service-worker.js"];

/// `cargo xtask site`
pub(crate) fn run(workspace: &Workspace, options: &SiteOptions) -> Result<(), Failure> {
    let out = options.out.clone().unwrap_or_else(|| workspace.target().join("site"));
    may_be_replaced(&out)?;
    if options.generated {
        setup::everything(workspace, false)?;
        wasm::package_modules(workspace)?;
        let site = site::build(workspace)?;
        let folder = prepare(workspace, &site)?;
        add_goods(workspace, &folder)?;
        let page = folder.join("goods.html");
        let index = folder.join("index.html");
        fs::copy(&page, &index).map_err(Failure::file(&index))?;
        return publish(&folder, &out);
    }
    make(workspace, &demo::build(workspace, false)?, &out)?;
    println!(
        "The film shop has the titles of MovieLens-100k, whose terms do not allow to redistribute \
         them without permission. `cargo xtask site --generated` makes a site without them."
    );
    Ok(())
}

/// Makes the whole site in the folder `out`, in the place of what is there.
pub(crate) fn make(workspace: &Workspace, built: &Built, out: &Path) -> Result<(), Failure> {
    let folder = prepare(workspace, built.site())?;
    let server = built.serve(workspace, 0, &[])?;
    let release = add_lists(workspace, &server, &folder);
    server.stop();
    let goods = [("second-shop", "./goods.html"), ("release", &release?)];
    served::note(&folder, "index.html", &goods)?;
    add_goods(workspace, &folder)?;
    served::note(&folder, "goods.html", &[("first-shop", "./")])?;
    publish(&folder, out)
}

/// The built site with its documentation, in a folder of its own.
fn prepare(workspace: &Workspace, site: &Path) -> Result<PathBuf, Failure> {
    let folder = served::assemble(workspace, "static", site, &[])?;
    served::add(&folder, "docs", &site::documents(workspace)?)?;
    remove_unneeded(&folder)?;
    for name in NEED_A_SERVER {
        let file = folder.join(name);
        if file.exists() {
            fs::remove_file(&file).map_err(Failure::file(&file))?;
        }
    }
    Ok(folder)
}

/// Trains the shop of products, if that is not done, and adds what its page needs.
fn add_goods(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    let shop = second_shop::prepare(workspace)?;
    let goods = folder.join("goods.json");
    fs::copy(&shop.goods, &goods).map_err(Failure::file(&goods))?;
    let server = shop.serve(workspace, folder)?;
    let release = add_lists(workspace, &server, folder);
    server.stop();
    served::note(folder, "goods.html", &[("goods", "./goods.json"), ("release", &release?)])
}

/// Writes the artefacts of a server and its lists below the folder; returns the address of the
/// release from the page.
fn add_lists(workspace: &Workspace, server: &Server, folder: &Path) -> Result<String, Failure> {
    say("Listing", "candidates for common histories");
    let output = node::node(workspace, "making the lists")
        .arg("web/static-site/lists.mjs")
        .args(["--server", &server.url(), "--out"])
        .arg(folder)
        .output()?;
    let release = output.lines().last().unwrap_or_default();
    Ok(format!("./artifacts/{release}"))
}

fn remove_unneeded(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::file(folder))? {
        let path = entry.map_err(Failure::file(folder))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if path.is_dir() {
            remove_unneeded(&path)?;
        } else if LEFT_OUT.contains(&ending) {
            fs::remove_file(&path).map_err(Failure::file(&path))?;
        }
    }
    Ok(())
}

/// Fails if the folder has files that are not an earlier site.
fn may_be_replaced(out: &Path) -> Result<(), Failure> {
    let empty = !out.exists() || out.read_dir().is_ok_and(|mut files| files.next().is_none());
    if empty || out.join(MARKER).exists() {
        return Ok(());
    }
    Err(Failure::Machine(format!(
        "{}: expected an empty folder or an earlier site (with {MARKER}), found other files: give \
         another folder with --out",
        out.display()
    )))
}

fn publish(folder: &Path, out: &Path) -> Result<(), Failure> {
    let marker = folder.join(MARKER);
    fs::write(&marker, "").map_err(Failure::file(&marker))?;
    served::replace(folder, out)?;
    let (files, bytes) = size(out)?;
    println!("{}: {files} files, {:.1} MB", out.display(), bytes as f64 / 1e6);
    Ok(())
}

/// Number of files below a folder, and their bytes.
fn size(folder: &Path) -> Result<(usize, u64), Failure> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder).map_err(Failure::file(folder))? {
        let entry = entry.map_err(Failure::file(folder))?;
        let data = entry.metadata().map_err(Failure::file(folder))?;
        let (files, bytes) = if data.is_dir() { size(&entry.path())? } else { (1, data.len()) };
        sum = (sum.0 + files, sum.1 + bytes);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("site");
        may_be_replaced(&out).unwrap();
        fs::create_dir(&out).unwrap();
        may_be_replaced(&out).unwrap();
        fs::write(out.join("thesis.txt"), "years of work").unwrap();
        let refusal = may_be_replaced(&out).unwrap_err().to_string();
        assert!(refusal.contains("--out"), "{refusal}");
        fs::write(out.join(MARKER), "").unwrap();
        may_be_replaced(&out).unwrap();
    }

    #[test]
    fn compressed_copies_and_source_maps_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for name in ["index.html", "index.html.br", "assets/a.js", "assets/a.js.map"] {
            fs::write(folder.path().join(name), "four").unwrap();
        }
        remove_unneeded(folder.path()).unwrap();
        assert_eq!(size(folder.path()).unwrap(), (2, 8));
    }
}
