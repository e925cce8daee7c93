//! The lines of a raw log.
//!
//! ```text
//! [HH:MM] <nick> text            a message
//! [HH:MM]  * nick text           the same in the third person
//! === nick  has joined #channel  · === nick  has left #channel […]  · === nick is now known as other
//! === nick text                  in old logs: the third person again
//! ```
//! System lines carry no time: they happened in the minute of the line before. Minutes are all there is; a minute that is
//! lower than the one before by more than half a day is the next day, any other step back is a clock that was set, and time stands.

use super::{Entry, Event, LogMistake};
use crate::limits::{BODY_BYTES_MAX, NICK_CHARACTERS_MAX};

const MINUTES_A_DAY: u32 = 24 * 60;

/// All lines; or the number (from 1) of the first bad one, and its mistake.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, (usize, LogMistake)> {
    let mut clock = Clock::default();
    let lines = text.lines().enumerate();
    lines.map(|(index, line)| parse_line(line, &mut clock).map_err(|mistake| (index + 1, mistake))).collect()
}

#[derive(Default)]
struct Clock {
    first: Option<u32>,
    day: u32,
    last: u32,
}

impl Clock {
    /// Minutes since the first reading.
    fn read(&mut self, of_day: u32) -> u32 {
        let first = *self.first.get_or_insert(of_day);
        let mut minute = (self.day * MINUTES_A_DAY + of_day).saturating_sub(first);
        if minute + MINUTES_A_DAY / 2 < self.last
            || self.day * MINUTES_A_DAY + of_day + MINUTES_A_DAY / 2 < first
        {
            self.day += 1;
            minute = self.day * MINUTES_A_DAY + of_day - first;
        }
        self.last = minute.max(self.last);
        self.last
    }
}

fn parse_line(line: &str, clock: &mut Clock) -> Result<Entry, LogMistake> {
    let unknown = || LogMistake::Line(line.chars().take(60).collect());
    if let Some(rest) = line.strip_prefix("===") {
        return parse_system(rest.trim_start(), clock.last);
    }
    let (time, rest) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(unknown)?;
    let minute = clock.read(parse_time(time)?);
    let rest = rest.trim_start();
    if let Some(action) = rest.strip_prefix("* ") {
        let (who, text) = action.trim_start().split_once(' ').unwrap_or((action, ""));
        return Ok(Entry { minute, nick: nick(who)?, event: Event::Acted(body(text)?) });
    }
    let (who, text) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or_else(unknown)?;
    let text = text.strip_prefix(' ').unwrap_or(text);
    Ok(Entry { minute, nick: nick(who)?, event: Event::Said(body(text)?) })
}

fn parse_system(rest: &str, minute: u32) -> Result<Entry, LogMistake> {
    let (who, what) = rest.split_once(' ').unwrap_or((rest, ""));
    let what = what.trim_start();
    let event = if what.starts_with("has joined #") {
        Event::Joined
    } else if what.starts_with("has left #") || what.starts_with("has quit") {
        Event::Left
    } else if let Some(name) = what.strip_prefix("is now known as ") {
        Event::Renamed(nick(name.trim_end())?)
    } else {
        Event::Acted(body(what)?)
    };
    Ok(Entry { minute, nick: nick(who)?, event })
}

fn parse_time(text: &str) -> Result<u32, LogMistake> {
    let refuse = || LogMistake::Time(text.chars().take(20).collect());
    let number = |digits: &str, limit: u32| {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let parsed: Option<u32> = if two { digits.parse().ok() } else { None };
        parsed.filter(|number| *number < limit)
    };
    let (hours, minutes) = text.split_once(':').ok_or_else(refuse)?;
    let hours = number(hours, 24).ok_or_else(refuse)?;
    let minutes = number(minutes, 60).ok_or_else(refuse)?;
    Ok(hours * 60 + minutes)
}

/// Some logs pad names: what is around them is not theirs.
fn nick(text: &str) -> Result<String, LogMistake> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > NICK_CHARACTERS_MAX || text.contains(char::is_whitespace) {
        return Err(LogMistake::Nick(text.chars().take(NICK_CHARACTERS_MAX).collect()));
    }
    Ok(text.to_owned())
}

fn body(text: &str) -> Result<String, LogMistake> {
    if text.len() > BODY_BYTES_MAX { Err(LogMistake::Body(text.len())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SAMPLE: &str = "\
[23:58] <ann> does anybody have a map?
=== bob  has joined #islands
[23:59] <bob> ann: here
=== bob is now known as bob_away
[00:01]  * ann thanks bob
=== ann draws a line
=== cy  has left #islands [\"bye\"]
[00:03] <cy>
";

    #[test]
    fn every_kind_of_line_is_read() {
        let said = |text: &str| Event::Said(text.to_owned());
        let acted = |text: &str| Event::Acted(text.to_owned());
        let expected = [
            (0, "ann", said("does anybody have a map?")),
            (0, "bob", Event::Joined),
            (1, "bob", said("ann: here")),
            (1, "bob", Event::Renamed("bob_away".to_owned())),
            (3, "ann", acted("thanks bob")),
            (3, "ann", acted("draws a line")),
            (3, "cy", Event::Left),
            (5, "cy", said("")),
        ];
        let read: Vec<_> = parse(SAMPLE).unwrap();
        let read: Vec<_> =
            read.iter().map(|entry| (entry.minute, entry.nick.as_str(), entry.event.clone())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_clock_that_is_set_back_stands_and_midnight_is_passed_more_than_once() {
        let minutes = |text: &str| parse(text).unwrap().iter().map(|e| e.minute).collect::<Vec<_>>();
        assert_eq!(minutes("[10:00] <a> x\n[09:58] <a> x\n[10:01] <a> x\n"), [0, 0, 1]);
        assert_eq!(
            minutes("[23:59] <a> x\n[00:00] <a> x\n[12:00] <a> x\n[23:59] <a> x\n[00:01] <a> x\n"),
            [0, 1, 721, 1440, 1442]
        );
    }

    #[test]
    fn what_is_not_a_line_is_refused_by_number() {
        for (bad, mistake) in [
            ("hello", "`hello` is neither"),
            ("[24:00] <a> x", "`24:00` is not a time"),
            ("[1:00] <a> x", "`1:00` is not a time"),
            ("[10:00] <a b> x", "`a b` is not a nick"),
            ("[10:00] <> x", "`` is not a nick"),
            ("[10:00] x", "is neither"),
            ("=== a is now known as ", "`` is not a nick"),
            ("", "`` is neither"),
        ] {
            let text = format!("[10:00] <a> x\n{bad}\n");
            let (line, error) = parse(&text).unwrap_err();
            assert_eq!(line, 2, "{bad}");
            assert!(error.to_string().contains(mistake), "{bad}: {error}");
        }
        let long = format!("[10:00] <a> {}\n", "x".repeat(BODY_BYTES_MAX + 1));
        assert_eq!(parse(&long).unwrap_err(), (1, LogMistake::Body(BODY_BYTES_MAX + 1)));
    }
}
