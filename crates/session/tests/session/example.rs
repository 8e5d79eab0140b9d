//! The example plays a whole session.

use crate::session_example::play;

#[test]
fn the_example_calls_learns_explains_and_saves() {
    let mut out = Vec::new();
    play(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "  Request: no candidates yet");
    assert!(text.contains("click on item-4\n"), "{text}");
    assert!(text.matches("  learnt: loss ").count() == 3, "{text}");
    assert!(text.contains(" is first because of\n"), "{text}");
    assert!(text.contains("undo: Some(#item-12)\n"), "{text}");
    assert!(lines.last().unwrap().contains(": 3 clicks, "), "{text}");
}
