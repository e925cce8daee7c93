//! The links of a log: `A B -`, line B answers line A, counted from 0; `A A -` begins a conversation and links nothing.
//!
//! What must always hold: what is not of this form, or answers a later line, is refused by its number.

use super::LogMistake;
use std::collections::BTreeMap;

/// For each answering line what it answers, ascending; or the number (from 1) of the first bad link, and its mistake.
pub(super) fn parse(text: &str, lines: usize) -> Result<BTreeMap<usize, Vec<usize>>, (usize, LogMistake)> {
    let mut answers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let link = parse_link(line, lines).map_err(|mistake| (index + 1, mistake))?;
        let Some((answered, answering)) = link else { continue };
        let known = answers.entry(answering).or_default();
        if let Err(place) = known.binary_search(&answered) {
            known.insert(place, answered);
        }
    }
    Ok(answers)
}

fn parse_link(line: &str, lines: usize) -> Result<Option<(usize, usize)>, LogMistake> {
    let refuse = || LogMistake::Link(line.chars().take(60).collect());
    let mut fields = line.split_whitespace();
    let mut number = || fields.next().and_then(|field| field.parse::<usize>().ok()).ok_or_else(refuse);
    let (answered, answering) = (number()?, number()?);
    if fields.next() != Some("-") || fields.next().is_some() {
        return Err(refuse());
    }
    if answering >= lines {
        return Err(LogMistake::LinkBeyondEnd(answering, lines.saturating_sub(1)));
    }
    match answered.cmp(&answering) {
        std::cmp::Ordering::Less => Ok(Some((answered, answering))),
        std::cmp::Ordering::Equal => Ok(None),
        std::cmp::Ordering::Greater => Err(LogMistake::LinkBackwards { answering, answered }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_are_gathered_by_the_line_that_answers() {
        let answers = parse("0 0 -\n1 3 -\n0 3 -\n1 3 -\n3 4 -\n", 5).unwrap();
        assert_eq!(answers, BTreeMap::from([(3, vec![0, 1]), (4, vec![3])]));
    }

    #[test]
    fn what_is_not_a_link_is_refused_by_number() {
        for (bad, mistake) in [
            ("1 2", "is not a link"),
            ("1 -", "is not a link"),
            ("1 2 - 3", "is not a link"),
            ("x 2 -", "is not a link"),
            ("-1 2 -", "is not a link"),
            ("", "is not a link"),
            ("3 2 -", "line 2 cannot answer line 3"),
            ("3 9 -", "names line 9"),
        ] {
            let (line, error) = parse(&format!("0 1 -\n{bad}\n"), 5).unwrap_err();
            assert_eq!(line, 2, "{bad}");
            assert!(error.to_string().contains(mistake), "{bad}: {error}");
        }
    }
}
