//! What can be a reaction, and what cannot: the grammar of `crdt/src/emoji.rs`.
//!
//! What must always hold: what is refused here was refused in every version, since all regions decide by it what they hold.

use crdt::emoji::{Emoji, NotAnEmoji};
use crdt::limits::EMOJI_BYTES_MAX;
use proptest::prelude::*;

const KEYCAP: char = '\u{20e3}';

#[test]
fn emoji_of_every_form_are_taken() {
    for text in
        ["👍", "👍🏽", "❤", "❤️", "☺️", "🇫🇮", "1️⃣", "#⃣", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏾‍❤️‍💋‍👨🏻", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🦾", "🫠", "⏱️", "™️", "🏿"]
    {
        assert_eq!(text.parse::<Emoji>().map(|emoji| emoji.to_string()), Ok(text.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_emoji_is_refused() {
    let long = "👍\u{200d}".repeat(20) + "👍";
    assert!(long.len() > EMOJI_BYTES_MAX);
    for text in [
        "",
        " ",
        "a",
        "ok",
        "1",
        "👍👍",
        "👍 ",
        "🇫",
        "🇫🇮🇫🇮",
        "\u{200d}",
        "👍\u{200d}",
        "\u{fe0f}",
        "1\u{fe0f}",
        "👍\u{fe0f}\u{fe0f}",
        "🏴\u{e0067}",
        "🏴\u{e007f}",
        "\u{202e}",
        "<b>",
        "a\u{20e3}",
        &long,
    ] {
        assert_eq!(text.parse::<Emoji>(), Err(NotAnEmoji), "{text:?}");
    }
}

proptest! {
    #[test]
    fn texts_of_any_sort_are_emoji_or_refused(text in any::<String>()) {
        if let Ok(emoji) = text.parse::<Emoji>() {
            prop_assert_eq!(emoji.as_str(), &text);
            let plain = text.chars().any(|point| point.is_ascii_alphanumeric());
            prop_assert!(!plain || text.contains(KEYCAP));
        }
    }
}
