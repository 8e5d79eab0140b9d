//! Plain text of HTML, as shops store it in titles and descriptions.

use std::borrow::Cow;

/// Tags within a word or a sentence; all others separate words.
const INLINE: [&str; 16] = [
    "a", "abbr", "b", "big", "cite", "code", "em", "font", "i", "mark", "s", "small", "span",
    "strong", "sup", "u",
];
/// Elements whose content is no text.
const HIDDEN: [&str; 2] = ["script", "style"];
/// Entities that texts of shops have, without those of numbers.
const ENTITIES: [(&str, &str); 40] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("auml", "ä"),
    ("ouml", "ö"),
    ("uuml", "ü"),
    ("Auml", "Ä"),
    ("Ouml", "Ö"),
    ("Uuml", "Ü"),
    ("szlig", "ß"),
    ("agrave", "à"),
    ("aacute", "á"),
    ("acirc", "â"),
    ("ccedil", "ç"),
    ("egrave", "è"),
    ("eacute", "é"),
    ("Eacute", "É"),
    ("ecirc", "ê"),
    ("iacute", "í"),
    ("ntilde", "ñ"),
    ("oacute", "ó"),
    ("ocirc", "ô"),
    ("uacute", "ú"),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("deg", "°"),
    ("euro", "€"),
    ("pound", "£"),
    ("times", "×"),
    ("hellip", "…"),
    ("ndash", "–"),
    ("mdash", "—"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("ldquo", "“"),
    ("rdquo", "”"),
];

/// A text without tags, comments, scripts and styles, with its entities decoded. A text without
/// any of them is returned as it is; else blanks are joined and removed at the ends.
pub(super) fn plain_text(text: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let (replacement, length) = if rest.starts_with('<') { tag(rest) } else { entity(rest) }
            .unwrap_or_else(|| (Cow::Borrowed(&rest[..1]), 1));
        changed |= length > 1;
        plain.push_str(&replacement);
        rest = &rest[length..];
    }
    if !changed {
        return Cow::Borrowed(text);
    }
    plain.push_str(rest);
    Cow::Owned(plain.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What stands for the tag at the beginning, and the length of the tag in bytes. A hidden element
/// is one tag.
fn tag(text: &str) -> Option<(Cow<'static, str>, usize)> {
    if text.starts_with("<!--") {
        return Some((" ".into(), text.find("-->").map_or(text.len(), |at| at + 3)));
    }
    let inner = &text[1..];
    let name = inner.strip_prefix(['/', '!']).unwrap_or(inner);
    let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let end = text.find('>')? + 1;
    let name = name.to_ascii_lowercase();
    if HIDDEN.contains(&name.as_str()) && !inner.starts_with('/') {
        // Lower case in ASCII has the same positions.
        let close = text.to_ascii_lowercase().find(&format!("</{name}"));
        let length = close.and_then(|at| Some(at + text[at..].find('>')? + 1));
        return Some((" ".into(), length.unwrap_or(text.len())));
    }
    Some((if INLINE.contains(&name.as_str()) { "" } else { " " }.into(), end))
}

/// The character of the entity at the beginning, and the length of the entity in bytes.
fn entity(text: &str) -> Option<(Cow<'static, str>, usize)> {
    let name = &text[1..text.find(';')?];
    let decoded = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        let letter = char::from_u32(code)?;
        Cow::Owned(if letter.is_control() { ' ' } else { letter }.to_string())
    } else {
        Cow::Borrowed(ENTITIES.iter().find(|(known, _)| *known == name)?.1)
    };
    Some((decoded, name.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_removed_and_entities_decoded() {
        for (html, plain) in [
            ("<p>It's the <b>small</b> iPod &amp; more</p>", "It's the small iPod & more"),
            ("<ul><li>one</li><li>two</li></ul>", "one two"),
            ("<style>p { color: red }</style>Red<SCRIPT>if (a < b) {}</SCRIPT> shoe", "Red shoe"),
            ("a<!-- <b> -->b<br/>c", "a b c"),
            ("<a href=\"/x\">K&uuml;che</a> &#39;x&#x27; &euro;", "Küche 'x' €"),
            ("&lt;b&gt;", "<b>"),
            ("<script>never closed", ""),
        ] {
            assert_eq!(plain_text(html), plain, "{html}");
        }
        for text in ["I <3 you", "a < b", "Salt & Pepper; more", "x <b", "&unknown;", "&#1114112;"]
        {
            assert_eq!(plain_text(text), text);
        }
    }
}
