//! Titles as text for a language model, and the prompt for a history.

use std::fmt::Write as _;

use tandem_dataset::{Item, ItemIndex};

use crate::trie::{Token, Trie};

/// Articles that catalogues move behind a comma, in common languages.
const ARTICLES: [&str; 24] = [
    "the", "a", "an", "la", "le", "les", "l'", "un", "une", "des", "el", "los", "las", "una", "il",
    "lo", "gli", "i", "uno", "der", "die", "das", "ein", "eine",
];

/// Normalises a title: `Usual Suspects, The` becomes `The Usual Suspects`, also before a
/// parenthesis. Control characters and runs of whitespace become one space.
#[must_use]
pub fn normalise_title(title: &str) -> String {
    let text = title
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let (name, rest) = match text.find(" (") {
        Some(at) => text.split_at(at),
        None => (text.as_str(), ""),
    };
    match name.rsplit_once(", ") {
        Some((stem, article)) if ARTICLES.contains(&article.to_lowercase().as_str()) => {
            let space = if article.ends_with('\'') { "" } else { " " };
            format!("{article}{space}{stem}{rest}")
        }
        _ => text,
    }
}

/// The text of an item for the language model: its normalised title, or its id if it has no
/// title. With `year`, a known year follows in parentheses.
#[must_use]
pub fn label(item: &Item, year: bool) -> String {
    let mut label = normalise_title(&item.title);
    if label.is_empty() {
        label = normalise_title(item.id.as_str());
    }
    if let (true, Some(year)) = (year, item.year) {
        // Writing to a string cannot fail.
        let _ = write!(label, " ({year})");
    }
    label
}

/// The prompt for a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The preamble, then for each item, oldest first, the item prefix, its title and the end
    /// marker, and finally one more item prefix.
    pub tokens: Vec<Token>,
    /// Number of the oldest items that did not fit.
    pub truncated: usize,
}

/// Builds a prompt of at most `budget` tokens from `preamble` and the newest items of a
/// history. The newest item is always included. `item_prefix` precedes every title,
/// including the one to be generated.
#[must_use]
pub fn build_prompt(
    (preamble, item_prefix): (&[Token], &[Token]),
    trie: &Trie,
    history: &[ItemIndex],
    budget: usize,
) -> Prompt {
    let mut length = preamble.len() + item_prefix.len();
    let fitting = history.iter().rev().take_while(|&&item| {
        length += item_prefix.len() + trie.title(item).len();
        length <= budget
    });
    let kept = fitting.count().max(1).min(history.len());
    let truncated = history.len() - kept;
    let mut tokens = preamble.to_vec();
    for &item in &history[truncated..] {
        tokens.extend_from_slice(item_prefix);
        tokens.extend_from_slice(trie.title(item));
    }
    tokens.extend_from_slice(item_prefix);
    Prompt { tokens, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_normalised() {
        for (written, expected) in [
            ("Usual Suspects, The", "The Usual Suspects"),
            ("Usual Suspects, The (1995)", "The Usual Suspects (1995)"),
            ("Fille seule, Une (A Single Girl)", "Une Fille seule (A Single Girl)"),
            ("Enfer, L' (1994)", "L'Enfer (1994)"),
            ("Good, The Bad and The Ugly, The", "The Good, The Bad and The Ugly"),
            ("I, Robot", "I, Robot"),
            ("Lost, Alone", "Lost, Alone"),
            ("  Two\tblanks \u{0}\n here ", "Two blanks here"),
            (", The", "The "),
            ("", ""),
            ("猫の恩返し", "猫の恩返し"),
        ] {
            assert_eq!(normalise_title(written).trim(), expected.trim(), "{written:?}");
        }
    }

    #[test]
    fn an_item_without_a_title_is_labelled_by_its_id() {
        let item =
            Item { title: " \n".into(), year: Some(1999), ..Item::untitled("B000123".into()) };
        assert_eq!(label(&item, false), "B000123");
        assert_eq!(label(&item, true), "B000123 (1999)");
    }

    #[test]
    fn the_prompt_contains_the_newest_items_that_fit() {
        let trie = Trie::new(&[vec![1, 1], vec![2, 2], vec![3, 3]], &[0; 3], 0);
        let history = [ItemIndex(0), ItemIndex(1), ItemIndex(2)];
        let all = build_prompt((&[9], &[8]), &trie, &history, 14);
        let tokens = vec![9, 8, 1, 1, 0, 8, 2, 2, 0, 8, 3, 3, 0, 8];
        assert_eq!(all, Prompt { tokens, truncated: 0 });
        let two = build_prompt((&[9], &[8]), &trie, &history, 13);
        assert_eq!(two, Prompt { tokens: vec![9, 8, 2, 2, 0, 8, 3, 3, 0, 8], truncated: 1 });
        // The newest item is included even if it does not fit.
        assert_eq!(build_prompt((&[9], &[]), &trie, &history, 1).truncated, 2);
        assert_eq!(build_prompt((&[9], &[]), &trie, &[], 1).tokens, [9]);
    }
}
