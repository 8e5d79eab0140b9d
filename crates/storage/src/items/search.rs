//! Text as it is searched: lower case, without accents and punctuation, so that both databases
//! find the same.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::NewItem;

/// Maximum length of the description that is searched, in characters.
const DESCRIPTION: usize = 2_000;
/// Maximum number of words of a query.
const WORDS: usize = 10;

/// Words that a text must have, the last one as the beginning of a word: what the search of the
/// database finds, for items that are in memory.
///
/// ```
/// let words = tandem_storage::SearchWords::new("creme caf");
/// assert!(words.are_in(["Crème", "Café au lait"]));
/// assert!(!words.are_in(["Crème brûlée"]));
/// ```
#[derive(Clone, Debug)]
pub struct SearchWords {
    words: Vec<String>,
    last: Option<String>,
}

impl SearchWords {
    /// The words of a query.
    #[must_use]
    pub fn new(query: &str) -> Self {
        let mut words = words(query);
        words.truncate(WORDS);
        let last = words.pop();
        Self { words, last }
    }

    /// Whether texts have all words together; never if there are no words.
    #[must_use]
    pub fn are_in<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> bool {
        let Some(last) = &self.last else { return false };
        let mut folded = String::new();
        texts.into_iter().for_each(|text| fold(text, &mut folded));
        let mut found = folded.split(' ');
        let has = |word: &String| folded.split(' ').any(|found| found == word);
        self.words.iter().all(has) && found.any(|found| found.starts_with(last.as_str()))
    }
}

/// The searched text of an item.
pub(crate) fn text_of(item: &NewItem) -> String {
    let end = item.description.char_indices().nth(DESCRIPTION).map(|(at, _)| at);
    let description = &item.description[..end.unwrap_or(item.description.len())];
    let parts = [item.id.as_str(), &item.title, &item.brand].into_iter();
    let parts = parts.chain(item.categories.iter().map(String::as_str)).chain([description]);
    let mut text = String::new();
    parts.for_each(|part| fold(part, &mut text));
    text
}

/// The words of a text.
fn words(text: &str) -> Vec<String> {
    let mut folded = String::new();
    fold(text, &mut folded);
    folded.split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
}

/// Appends the words of a text to `folded`, separated by spaces.
fn fold(text: &str, folded: &mut String) {
    let mut is_within_word = false;
    let mut add = |c: char| {
        if !c.is_alphanumeric() {
            is_within_word = false;
            return;
        }
        if !is_within_word && !folded.is_empty() {
            folded.push(' ');
        }
        is_within_word = true;
        folded.push(c);
    };
    if text.is_ascii() {
        // Most texts, for which the decomposition would take longer than everything else.
        text.chars().for_each(|c| add(c.to_ascii_lowercase()));
    } else {
        let characters = text.nfkd().filter(|c| !is_combining_mark(*c));
        characters.flat_map(char::to_lowercase).for_each(add);
    }
}

/// A query of FTS5: all words, the last one as the beginning of a word. `None` without a word.
pub(super) fn sqlite_query(text: &str) -> Option<String> {
    query(text, " ", |word| format!("\"{word}\""), "*")
}

/// A query of PostgreSQL's `to_tsquery`, as [`sqlite_query`].
pub(super) fn postgres_query(text: &str) -> Option<String> {
    query(text, " & ", |word| format!("'{word}'"), ":*")
}

fn query(text: &str, and: &str, quote: impl Fn(&str) -> String, beginning: &str) -> Option<String> {
    // Words are letters and digits, so they cannot end a quotation.
    let words: Vec<String> = words(text).iter().take(WORDS).map(|word| quote(word)).collect();
    (!words.is_empty()).then(|| words.join(and) + beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded() {
        assert_eq!(words("Café Crème, 2-Pack (ＸＬ)"), ["cafe", "creme", "2", "pack", "xl"]);
        assert_eq!(words(" -- "), Vec::<String>::new());
    }

    #[test]
    fn items_in_memory_are_found_as_those_of_the_database() {
        let is_found = |query: &str| SearchWords::new(query).are_in(["b-7", "Red shoe", "Shoes"]);
        for query in ["red", "RED sho", "sho", "shoe red", "7", "b-7"] {
            assert!(is_found(query), "{query}");
        }
        for query in ["", "!", "re shoe", "blue", "red boot", "hoe"] {
            assert!(!is_found(query), "{query}");
        }
    }

    #[test]
    fn queries_are_quoted() {
        assert_eq!(sqlite_query("Red \"Shoe").as_deref(), Some("\"red\" \"shoe\"*"));
        assert_eq!(postgres_query("Red' | Shoe").as_deref(), Some("'red' & 'shoe':*"));
        assert_eq!(sqlite_query("!"), None);
    }
}
