//! Rust source with its comments and the contents of its strings blanked out, so that words and braces can be counted.
//!
//! The obvious way, searching the raw text, finds `todo!` in a sentence and a brace in a format string. A parser (`syn`) would be
//! right too and takes longer to compile than everything else here together.
//!
//! What must always hold: every line break stays, so lines of the result are lines of the source; whatever is not a comment, a
//! string or a character stays as it is.

/// The code alone.
pub(crate) fn code_of(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest)
            .or_else(|| raw_string(rest, &code))
            .or_else(|| string(rest))
            .or_else(|| character(rest, &code));
        match skipped {
            Some(length) => {
                let (gone, after) = rest.split_at(length);
                code.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                rest = after;
            }
            None => {
                code.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    code
}

/// Bytes of the comment that begins here.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

/// Bytes of the raw string (`r"…"`, `br#"…"#`) that begins here.
fn raw_string(rest: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after_r = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let body = after_r.get(hashes..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close).map_or(body.len(), |end| end + close.len());
    Some(rest.len() - body.len() + end)
}

/// Bytes of the string that begins here.
fn string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    Some(rest.len())
}

/// Bytes of the character that begins here; a lifetime is none.
fn character(rest: &str, before: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    if before.ends_with(|c: char| c.is_alphanumeric() && c != 'b') {
        return None;
    }
    let mut characters = body.char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (_, _escaped) = characters.next()?;
        let close = characters.as_str().find('\'')?;
        return Some(rest.len() - characters.as_str().len() + close + 1);
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::code_of;

    #[test]
    fn comments_and_texts_are_blank_and_lines_stay() {
        let source =
            "a // todo!\nb /* { /* } */ { */ c\n\"{ \\\" }\" d r#\"{\"# e '{' f '\\'' g '\\u{7b}' h\n";
        let code = code_of(source);
        assert_eq!(code.lines().count(), 3);
        assert_eq!(code.split_whitespace().collect::<String>(), "abcdefgh");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        let source = "fn f<'a>(x: &'a str, y: b'{') -> &'static str { r#fn }";
        assert_eq!(code_of(source), source.replace("'{'", "   "));
    }
}
