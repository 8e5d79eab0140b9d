//! A small scanner for Rust source: tokens with line numbers, without comments, literals and
//! test code. It reads imports and item names, no more.

/// A token of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier or keyword.
    Word(String),
    /// `::`
    PathSeparator,
    /// Any other character that is not white space.
    Symbol(char),
}

/// A token and the line it is on, from 1.
pub(super) type Located = (Token, usize);

/// One import: `use crate::a::{B as C}` gives the path `crate, a, B` and the name `C`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// The name it has here; `*` for a glob import.
    pub(super) name: String,
    /// `pub use`, whatever the visibility.
    pub(super) exported: bool,
    pub(super) line: usize,
}

/// What a file says about modules.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Modules declared by `mod name;`.
    pub(super) children: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// Paths in code that begin with `crate`, `self`, `super` or a child module.
    pub(super) paths: Vec<(Vec<String>, usize)>,
    /// Names of items that the file defines, at any depth.
    pub(super) items: Vec<String>,
}

impl Source {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let children = (0..tokens.len())
            .filter(|&at| is_word(&tokens, at, "mod") && is_symbol(&tokens, at + 2, ';'))
            .filter_map(|at| word(&tokens, at + 1).map(str::to_owned))
            .collect();
        let mut source = Self { children, ..Self::default() };
        let mut at = 0;
        while at < tokens.len() {
            at = source.read(&tokens, at);
        }
        source
    }

    /// Reads what begins at `at`; returns where the next thing begins.
    fn read(&mut self, tokens: &[Located], at: usize) -> usize {
        const ITEMS: [&str; 8] =
            ["struct", "enum", "trait", "type", "const", "static", "fn", "union"];
        let Some(name) = word(tokens, at) else { return at + 1 };
        let after_separator = at > 0 && tokens[at - 1].0 == Token::PathSeparator;
        // `impl Trait + use<'a>` imports nothing.
        if name == "use" && !after_separator && !is_symbol(tokens, at + 1, '<') {
            // `pub use` and `pub(crate) use`.
            let before = |back: usize| at.checked_sub(back).and_then(|at| word(tokens, at));
            let exported = before(1) == Some("pub")
                || (at > 0 && is_symbol(tokens, at - 1, ')') && is_visibility(tokens, at - 1));
            let mut tree = Tree { tokens, at: at + 1, exported, imports: &mut self.imports };
            tree.read(&[]);
            return tree.at;
        }
        if ITEMS.contains(&name) {
            let named = if is_word(tokens, at + 1, "mut") { at + 2 } else { at + 1 };
            // `const fn f` defines `f`.
            if let Some(item) = word(tokens, named)
                && !matches!(item, "fn" | "unsafe" | "async" | "extern")
            {
                self.items.push(item.to_owned());
                return named + 1;
            }
        }
        let starts_path = matches!(name, "crate" | "self" | "super")
            || self.children.iter().any(|child| child == name);
        let followed = tokens.get(at + 1).is_some_and(|(token, _)| *token == Token::PathSeparator);
        if !starts_path || after_separator || !followed {
            return at + 1;
        }
        let (mut path, mut next) = (vec![name.to_owned()], at + 1);
        while tokens.get(next).is_some_and(|(token, _)| *token == Token::PathSeparator) {
            let Some(segment) = word(tokens, next + 1) else { break };
            path.push(segment.to_owned());
            next += 2;
        }
        self.paths.push((path, tokens[at].1));
        next
    }
}

/// Whether the `)` at `at` ends `pub(…)`.
fn is_visibility(tokens: &[Located], at: usize) -> bool {
    let open = (0..at).rev().find(|&at| is_symbol(tokens, at, '('));
    open.and_then(|open| open.checked_sub(1)).is_some_and(|at| is_word(tokens, at, "pub"))
}

/// Reads the tree of a `use`.
struct Tree<'a> {
    tokens: &'a [Located],
    at: usize,
    exported: bool,
    imports: &'a mut Vec<Import>,
}

impl Tree<'_> {
    /// One branch below `prefix`, up to the `,`, `}` or `;` after it.
    fn read(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |(_, line)| *line);
        let mut name = None;
        while let Some((token, _)) = self.tokens.get(self.at) {
            match token {
                Token::Symbol(',' | '}' | ';') => break,
                Token::Symbol('{') => {
                    self.at += 1;
                    while self.at < self.tokens.len() && !is_symbol(self.tokens, self.at, '}') {
                        let before = self.at;
                        self.read(&path);
                        // Always further, whatever the text is.
                        if self.at == before || is_symbol(self.tokens, self.at, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Token::Symbol('*') => name = Some("*".to_owned()),
                Token::Word(word) if word == "as" => {
                    self.at += 1;
                    name = word_at(self.tokens, self.at);
                }
                // `use a::{self}` is `use a`.
                Token::Word(word) if word == "self" && !path.is_empty() => {}
                Token::Word(word) => path.push(word.clone()),
                Token::PathSeparator | Token::Symbol(_) => {}
            }
            self.at += 1;
        }
        if let Some(last) = path.last() {
            let name = name.unwrap_or_else(|| last.clone());
            self.imports.push(Import { path, name, exported: self.exported, line });
        }
    }
}

fn word(tokens: &[Located], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word),
        _ => None,
    }
}

fn word_at(tokens: &[Located], at: usize) -> Option<String> {
    word(tokens, at).map(str::to_owned)
}

fn is_word(tokens: &[Located], at: usize, text: &str) -> bool {
    word(tokens, at) == Some(text)
}

fn is_symbol(tokens: &[Located], at: usize, symbol: char) -> bool {
    matches!(tokens.get(at), Some((Token::Symbol(found), _)) if *found == symbol)
}

/// The tokens without items under `#[cfg(test)]`.
fn without_tests(tokens: &[Located]) -> Vec<Located> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_symbol(tokens, at, '#') && is_symbol(tokens, at + 1, '[') {
            let end = matching(tokens, at + 1, '[', ']');
            let attribute = &tokens[at..end.min(tokens.len())];
            if is_test_configuration(attribute) {
                at = after_item(tokens, end);
                continue;
            }
        }
        kept.push(tokens[at].clone());
        at += 1;
    }
    kept
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test_configuration(attribute: &[Located]) -> bool {
    let words: Vec<&str> = (0..attribute.len()).filter_map(|at| word(attribute, at)).collect();
    matches!(words.as_slice(), ["cfg", "test"] | ["cfg", "all", "test", ..])
}

/// The position after the bracket that closes the one at `open`.
fn matching(tokens: &[Located], open: usize, opening: char, closing: char) -> usize {
    let mut depth = 0_usize;
    for at in open..tokens.len() {
        if is_symbol(tokens, at, opening) {
            depth += 1;
        } else if is_symbol(tokens, at, closing) {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

/// The position after the item that begins at `from`: after its `;` or its block.
fn after_item(tokens: &[Located], mut from: usize) -> usize {
    while from < tokens.len() {
        if is_symbol(tokens, from, ';') {
            return from + 1;
        }
        for (opening, closing) in [('(', ')'), ('[', ']')] {
            if is_symbol(tokens, from, opening) {
                from = matching(tokens, from, opening, closing) - 1;
            }
        }
        if is_symbol(tokens, from, '{') {
            return matching(tokens, from, '{', '}');
        }
        from += 1;
    }
    from
}

/// Splits a file into tokens; comments and literals are left out.
fn tokens(text: &str) -> Vec<Located> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < characters.len() {
        let rest = &characters[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => string(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(1)
            }
            ['\'', ..] => character_or_lifetime(rest),
            [':', ':', ..] => {
                found.push((Token::PathSeparator, line));
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let word: String =
                    rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                found.push((Token::Word(word), line));
                length
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    found.push((Token::Symbol(*first), line));
                }
                1
            }
            [] => break,
        };
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        at += length;
    }
    found
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of `r"…"`, `r#"…"#` or `br"…"`; `None` for a raw identifier.
fn raw_string(rest: &[char]) -> Option<usize> {
    let start = rest.iter().position(|c| *c == 'r')? + 1;
    let hashes = rest[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let ends = |at: &usize| {
        rest[*at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((open + 1..rest.len()).find(ends).map_or(rest.len(), |at| at + 1 + hashes))
}

/// `'a'` and `'\n'` are literals; `'a` is a lifetime, of which the quote alone is skipped.
fn character_or_lifetime(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => {
            // The escaped character may itself be a quote.
            rest.iter().skip(3).position(|c| *c == '\'').map_or(rest.len(), |at| at + 4)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let source = Source::parse(text);
        let show = |import: &Import| {
            let marker = if import.exported { "pub " } else { "" };
            format!("{marker}{} as {}", import.path.join("::"), import.name)
        };
        source.imports.iter().map(show).collect()
    }

    #[test]
    fn use_trees_are_flattened() {
        assert_eq!(
            imports(
                "use crate::{a::{self, B as C}, d::*};\npub(crate) use super::e::F;\npub use g::H;"
            ),
            [
                "crate::a as a",
                "crate::a::B as C",
                "crate::d as *",
                "pub super::e::F as F",
                "pub g::H as H"
            ]
        );
    }

    #[test]
    fn comments_literals_and_test_code_import_nothing() {
        let text = r##"
            // use crate::comment;
            /* use crate::block; /* nested */ use crate::block; */
            const A: &str = "use crate::text;";
            const B: &str = r#"use crate::"raw";"#;
            const C: char = '"';
            const D: char = '\'';
            fn e<'a>(f: &'a str) -> &'a str { f }
            #[cfg(test)]
            mod tests { use crate::inside; fn f() { if true { crate::g(); } } }
            #[cfg(all(test, unix))]
            mod more;
            #[cfg(test)]
            use crate::helper;
            #[cfg(feature = "x")]
            use crate::kept;
        "##;
        assert_eq!(imports(text), ["crate::kept as kept"]);
        assert_eq!(Source::parse(text).paths, []);
        assert_eq!(Source::parse(text).items, ["A", "B", "C", "D", "e"]);
    }

    #[test]
    fn items_are_known_by_their_names() {
        let text = "pub(crate) const fn a() {}\nstatic mut B: u8 = 0;\npub struct C<T>(T);";
        assert_eq!(Source::parse(text).items, ["a", "B", "C"]);
    }

    #[test]
    fn paths_in_code_are_found_with_their_lines() {
        let text = "mod child;\nfn f() -> crate::a::B {\n    child::g();\n    other::h();\n    super::super::i()\n}";
        let source = Source::parse(text);
        assert_eq!(source.children, ["child"]);
        let found: Vec<(String, usize)> =
            source.paths.iter().map(|(path, line)| (path.join("::"), *line)).collect();
        assert_eq!(
            found,
            [
                ("crate::a::B".to_owned(), 2),
                ("child::g".to_owned(), 3),
                ("super::super::i".to_owned(), 5)
            ]
        );
    }
}
