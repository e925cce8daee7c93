//! How long functions are, in lines from `fn` to the closing brace.
//!
//! Counted over code without comments' and strings' contents (see `rust_text`), so a brace in a text does not end a function.
//! A declaration without a body (in a trait) is no function here.

use crate::rust_text::code_of;

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// From `fn` to the closing brace, both included.
    pub(crate) lines: usize,
}

/// All functions of a file, in order of their beginning.
pub(crate) fn functions(source: &str) -> Vec<Function> {
    let code = code_of(source);
    let starts = code.match_indices("fn ").filter(|(at, _)| {
        let before = code.get(..*at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| before.is_whitespace() || before == '(')
    });
    starts.filter_map(|(at, _)| function(&code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let rest = code.get(at..)?;
    let name: String = rest.get(3..)?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None;
    }
    // Brackets hold const expressions and array types, whose semicolons and braces are not the body's.
    let (mut brackets, mut braces) = (0i32, 0i32);
    for (offset, c) in rest.char_indices() {
        match c {
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' if brackets == 0 => braces += 1,
            '}' if brackets == 0 => {
                braces -= 1;
                if braces == 0 {
                    let line = code.get(..at)?.matches('\n').count() + 1;
                    let lines = rest.get(..offset)?.matches('\n').count() + 1;
                    return Some(Function { name, line, lines });
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::functions;

    #[test]
    fn bodies_are_counted_and_declarations_are_not() {
        let source = "trait T { fn declared(&self) -> [u8; 4]; }\n\
            const fn one() -> [u8; 2] { [0; 2] }\n\
            pub fn three(a: fn(u8) -> u8) {\n  let x = \"}\"; // }\n}\n\
            fn outer() {\n  fn inner() {\n  }\n}\n";
        let found: Vec<(String, usize, usize)> =
            functions(source).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        let expected = [("one", 2, 1), ("three", 3, 3), ("outer", 6, 4), ("inner", 7, 2)];
        assert_eq!(found, expected.map(|(name, line, lines)| (name.to_owned(), line, lines)));
    }
}
