//! How a title reads, and the prompt made of a history.

use std::fmt::Write as _;

use tandem_dataset::{Item, ItemIndex};

use crate::trie::{Token, Trie};

/// Articles that catalogues move behind a comma, in the languages met most often.
const ARTICLES: [&str; 24] = [
    "the", "a", "an", "la", "le", "les", "l'", "un", "une", "des", "el", "los", "las", "una", "il",
    "lo", "gli", "i", "uno", "der", "die", "das", "ein", "eine",
];

/// A title as people say it: `Usual Suspects, The` becomes `The Usual Suspects`, also before
/// a parenthesis; control characters and runs of blanks become one blank.
#[must_use]
pub fn natural(title: &str) -> String {
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
            let blank = if article.ends_with('\'') { "" } else { " " };
            format!("{article}{blank}{stem}{rest}")
        }
        _ => text,
    }
}

/// What stands for an item before the language model: its natural title, its id if it has
/// none; with the year in parentheses if wanted and known.
#[must_use]
pub fn label(item: &Item, year: bool) -> String {
    let mut label = natural(&item.title);
    if label.is_empty() {
        label = natural(item.id.as_str());
    }
    if let (true, Some(year)) = (year, item.year) {
        // Writing to a string cannot fail.
        let _ = write!(label, " ({year})");
    }
    label
}

/// A history as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The head; the titles, oldest first, each between opener and end marker; an opener.
    pub tokens: Vec<Token>,
    /// How many of the oldest items did not fit.
    pub truncated: usize,
}

/// Puts the newest items of a history after `head`, as many as keep the prompt within
/// `budget` tokens; at least the newest one. `opener` stands before every title, the one to
/// come included.
#[must_use]
pub fn prompt(
    (head, opener): (&[Token], &[Token]),
    trie: &Trie,
    history: &[ItemIndex],
    budget: usize,
) -> Prompt {
    let mut length = head.len() + opener.len();
    let fitting = history.iter().rev().take_while(|&&item| {
        length += opener.len() + trie.title(item).len();
        length <= budget
    });
    let kept = fitting.count().max(1).min(history.len());
    let truncated = history.len() - kept;
    let mut tokens = head.to_vec();
    for &item in &history[truncated..] {
        tokens.extend_from_slice(opener);
        tokens.extend_from_slice(trie.title(item));
    }
    tokens.extend_from_slice(opener);
    Prompt { tokens, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_read_as_people_say_them() {
        for (written, said) in [
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
            assert_eq!(natural(written).trim(), said.trim(), "{written:?}");
        }
    }

    #[test]
    fn an_item_without_a_title_goes_by_its_id() {
        let item = Item {
            id: "B000123".into(),
            title: " \n".into(),
            year: Some(1999),
            genres: vec![],
            count: 0,
        };
        assert_eq!(label(&item, false), "B000123");
        assert_eq!(label(&item, true), "B000123 (1999)");
    }

    #[test]
    fn the_newest_items_that_fit_are_read() {
        let trie = Trie::new(&[vec![1, 1], vec![2, 2], vec![3, 3]], &[0; 3], 0);
        let history = [ItemIndex(0), ItemIndex(1), ItemIndex(2)];
        let all = prompt((&[9], &[8]), &trie, &history, 14);
        let tokens = vec![9, 8, 1, 1, 0, 8, 2, 2, 0, 8, 3, 3, 0, 8];
        assert_eq!(all, Prompt { tokens, truncated: 0 });
        let two = prompt((&[9], &[8]), &trie, &history, 13);
        assert_eq!(two, Prompt { tokens: vec![9, 8, 2, 2, 0, 8, 3, 3, 0, 8], truncated: 1 });
        // The newest one is read even if it does not fit.
        assert_eq!(prompt((&[9], &[]), &trie, &history, 1).truncated, 2);
        assert_eq!(prompt((&[9], &[]), &trie, &[], 1).tokens, [9]);
    }
}
