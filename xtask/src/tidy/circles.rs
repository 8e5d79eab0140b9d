//! Import circles between the modules of a crate.
//!
//! A module depends on another when its file imports from it or names a path in it. A re-export
//! (`pub use`) is no dependency of the module that writes it: the module that imports the name depends
//! on the module that defines it. Test code is left out.
//!
//! Circles are searched among sibling modules, each with everything below it: `a` and `b` are a
//! circle if `a::x` imports from `b` and `b::y` imports from `a`. A module and its own children
//! may use each other, because a child is a part of its parent.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use super::source::Source;

/// A module's path in its crate, without the crate: `["uplift", "tests"]`; empty for the root.
type ModulePath = Vec<String>;

/// The modules of one crate, by path.
#[derive(Debug, Default)]
struct Modules(BTreeMap<ModulePath, (PathBuf, Source)>);

/// The import circles of a crate, one sentence each. `files` are pairs of a path below the
/// crate's `src` and the file's text.
pub(super) fn circles(package: &str, files: &[(PathBuf, String)]) -> Vec<String> {
    let mut modules = Modules::default();
    for (file, text) in files {
        if let Some(path) = module_path(file) {
            modules.0.insert(path, (file.clone(), Source::parse(text)));
        }
    }
    let edges = modules.edges();
    components(&edges)
        .iter()
        .flat_map(|component| circles_of(component, &edges))
        .map(|circle| describe(package, &edges, &circle))
        .collect()
}

/// The module of a file below `src`; `None` for files of tests and for further binaries.
fn module_path(file: &Path) -> Option<ModulePath> {
    let mut path: ModulePath =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match path.last().map(String::as_str) {
        Some("mod") => drop(path.pop()),
        Some("lib" | "main") if path.len() == 1 => path.clear(),
        Some("tests") => return None,
        _ => {}
    }
    // `src/bin` holds crates of their own.
    (path.first().is_none_or(|first| first != "bin") && !path.iter().any(|part| part == "tests"))
        .then_some(path)
}

/// For each module: the siblings it depends on, with the first place that says so.
type Edges = BTreeMap<ModulePath, BTreeMap<ModulePath, Place>>;

/// A line of a file below `src`.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    line: usize,
}

impl Modules {
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (from, (file, source)) in &self.0 {
            let imports = source
                .imports
                .iter()
                .filter(|import| !import.exported)
                .map(|import| (&import.path, import.line));
            let paths = source.paths.iter().map(|(path, line)| (path, *line));
            for (path, line) in imports.chain(paths) {
                let Some(to) = self.resolve(from, path, 0) else { continue };
                if let Some((from, to)) = siblings(from, &to) {
                    let place = || Place { file: file.clone(), line };
                    edges.entry(from).or_default().entry(to).or_insert_with(place);
                }
            }
        }
        edges
    }

    /// The module that defines what `path` names when it is written in `from`; `None` if it is
    /// outside of the crate.
    fn resolve(&self, from: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        // Re-exports of re-exports end somewhere.
        const DEEPEST: usize = 16;
        if depth > DEEPEST {
            return None;
        }
        let mut module = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => from.split_last()?.1.to_vec(),
            name => {
                let child = below(from, name);
                self.0.contains_key(&child).then_some(child)?
            }
        };
        for name in &path[1..] {
            if name == "super" {
                module.pop()?;
                continue;
            }
            let child = below(&module, name);
            if self.0.contains_key(&child) {
                module = child;
                continue;
            }
            return match self.definition(&module, name, depth) {
                Definition::Here => Some(module),
                Definition::In(other) => Some(other),
                Definition::Outside => None,
            };
        }
        Some(module)
    }

    /// Follows a name of `module` through imports to the module that defines it.
    fn definition(&self, module: &ModulePath, name: &str, depth: usize) -> Definition {
        let Some((_, source)) = self.0.get(module) else { return Definition::Here };
        if let Some(import) = source.imports.iter().find(|import| import.name == name) {
            let target = self.resolve(module, &import.path, depth + 1);
            return target.map_or(Definition::Outside, Definition::In);
        }
        if source.items.iter().any(|item| item == name) {
            return Definition::Here;
        }
        let globs = source.imports.iter().filter(|import| import.name == "*");
        for target in globs.filter_map(|glob| self.resolve(module, &glob.path, depth + 1)) {
            let Some((_, other)) = self.0.get(&target) else { continue };
            if other.items.iter().any(|item| item == name) {
                return Definition::In(target);
            }
            if target != *module
                && let Definition::In(further) = self.definition(&target, name, depth + 1)
            {
                return Definition::In(further);
            }
        }
        Definition::Here
    }
}

/// Where a name of a module is defined.
enum Definition {
    Here,
    In(ModulePath),
    /// In another crate.
    Outside,
}

fn below(module: &ModulePath, name: &str) -> ModulePath {
    let mut child = module.clone();
    child.push(name.to_owned());
    child
}

/// The siblings that `from` and `to` are in; `None` if one of them is below the other.
fn siblings(from: &ModulePath, to: &ModulePath) -> Option<(ModulePath, ModulePath)> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let ancestor = |module: &ModulePath| module.get(..=common).map(<[String]>::to_vec);
    ancestor(from).zip(ancestor(to))
}

/// All modules that can be reached from `from`.
fn reachable<'a>(from: &'a ModulePath, edges: &'a Edges) -> BTreeSet<&'a ModulePath> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in edges.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found
}

/// Groups of modules that can all reach each other.
fn components(edges: &Edges) -> Vec<BTreeSet<ModulePath>> {
    let reach: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        edges.keys().map(|module| (module, reachable(module, edges))).collect();
    let mut found: Vec<BTreeSet<ModulePath>> = Vec::new();
    for (module, reached) in &reach {
        if !reached.contains(*module) || found.iter().any(|group| group.contains(*module)) {
            continue;
        }
        let mutual =
            |other: &&&ModulePath| reach.get(**other).is_some_and(|back| back.contains(*module));
        found.push(reached.iter().filter(mutual).map(|other| (*other).clone()).collect());
    }
    found
}

/// All circles of two modules within a group, or else a shortest circle.
fn circles_of(group: &BTreeSet<ModulePath>, edges: &Edges) -> Vec<Vec<ModulePath>> {
    let imports = |from: &ModulePath, to: &ModulePath| {
        edges.get(from).is_some_and(|targets| targets.contains_key(to))
    };
    let mut found = Vec::new();
    for a in group {
        for b in group.iter().filter(|b| a < *b && imports(a, b) && imports(b, a)) {
            found.push(vec![a.clone(), b.clone(), a.clone()]);
        }
    }
    if found.is_empty() {
        found.extend(shortest_circle(group, edges));
    }
    found
}

/// A shortest circle within a group.
fn shortest_circle(group: &BTreeSet<ModulePath>, edges: &Edges) -> Option<Vec<ModulePath>> {
    let circle = |start: &ModulePath| -> Option<Vec<ModulePath>> {
        let mut ways = VecDeque::from([vec![start.clone()]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for next in edges.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
                let mut longer = way.clone();
                longer.push(next.clone());
                if next == start {
                    return Some(longer);
                }
                if group.contains(next) && seen.insert(next.clone()) {
                    ways.push_back(longer);
                }
            }
        }
        None
    };
    group.iter().filter_map(circle).min_by_key(Vec::len)
}

fn describe(package: &str, edges: &Edges, circle: &[ModulePath]) -> String {
    let step = |pair: &[ModulePath]| {
        let place = edges.get(&pair[0])?.get(&pair[1])?;
        let (from, to) = (pair[0].join("::"), pair[1].join("::"));
        Some(format!("{from} imports {to} (src/{}:{})", place.file.display(), place.line))
    };
    let steps: Vec<String> = circle.windows(2).filter_map(step).collect();
    format!(
        "{package}: import circle: {}; move what both need into a module of its own",
        steps.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(PathBuf, String)> =
            files.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
        circles("demo", &files)
    }

    #[test]
    fn a_circle_is_reported_with_its_lines() {
        let found = found(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "\nuse crate::b::B;\npub struct A;"),
            ("b.rs", "fn f() {\n    crate::c::g();\n}\npub struct B;"),
            ("c.rs", "use super::a::A;\npub fn g() {}"),
        ]);
        assert_eq!(
            found,
            ["demo: import circle: a imports b (src/a.rs:2), b imports c (src/b.rs:2), \
              c imports a (src/c.rs:1); move what both need into a module of its own"]
        );
    }

    #[test]
    fn a_re_export_leads_to_the_module_that_defines_the_name() {
        let root = "mod a;\nmod b;\npub use a::A;\npub use b::*;";
        let free =
            [("lib.rs", root), ("a.rs", "pub struct A;"), ("b.rs", "use crate::A;\npub struct B;")];
        assert_eq!(found(&free), Vec::<String>::new());
        let circle = [
            ("lib.rs", root),
            ("a.rs", "use crate::B;\npub struct A;"),
            ("b.rs", "use crate::A;\npub struct B;"),
        ];
        assert_eq!(found(&circle).len(), 1);
    }

    #[test]
    fn an_import_of_another_crate_through_the_root_is_no_dependency() {
        let files = [
            ("lib.rs", "mod a;\nuse other::f;\nuse a::g;"),
            ("a.rs", "use crate::f;\npub fn g() {}"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn captured_lifetimes_and_broken_text_end() {
        let files = [
            ("lib.rs", "mod a;"),
            (
                "a.rs",
                "fn f<'a>(x: &'a u8) -> impl Sized + use<'a> {\n    let y = x;\n    y\n}\nuse crate::{;}",
            ),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn every_pair_that_imports_each_other_is_reported() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "use crate::{b::B, c::C};\npub struct A;"),
            ("b.rs", "use crate::a::A;\npub struct B;"),
            ("c.rs", "use crate::a::A;\npub struct C;"),
        ];
        assert_eq!(found(&files).len(), 2);
    }

    #[test]
    fn siblings_are_compared_with_everything_below_them() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nuse a::A;"),
            ("a/mod.rs", "mod x;\nuse x::f;\npub struct A;"),
            ("a/x.rs", "use super::A;\nuse crate::b::y::Y;\npub fn f(_: &A) {}"),
            ("b.rs", "mod y;"),
            ("b/y.rs", "pub struct Y;"),
        ];
        assert_eq!(
            found(&files),
            Vec::<String>::new(),
            "a parent and its child may use each other"
        );
        let mut circle = files;
        circle[4].1 = "use crate::a::A;\npub struct Y;";
        let text = found(&circle).join("\n");
        assert!(text.contains("a imports b (src/a/x.rs:2), b imports a (src/b/y.rs:1)"), "{text}");
    }

    #[test]
    fn tests_and_other_crates_are_left_out() {
        let files = [
            ("lib.rs", "mod a;\nmod b;"),
            (
                "a.rs",
                "use crate::b::B;\nuse std::b;\npub struct A;\n#[cfg(test)]\nmod tests { use crate::b; }",
            ),
            ("b.rs", "pub struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }"),
            ("b/tests.rs", "use crate::a::A;"),
            ("bin/other.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
