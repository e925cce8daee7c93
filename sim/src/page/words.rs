//! Times in words, and text that cannot become markup.
//!
//! What must always hold: whatever people, regions or scenarios are called, it stays text; integers alone.

/// A moment of a run: `1:02.345`, with hours where there are any.
pub(super) fn moment(us: u64) -> String {
    let (seconds, ms) = (us / 1_000_000, us / 1_000 % 1_000);
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}.{ms:03}")
    } else {
        format!("{minutes}:{rest:02}.{ms:03}")
    }
}

/// A length of time, to three digits or so: `3.2 ms`, `38.2 s`, `12 min 3 s`.
pub(super) fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us / 100 % 10),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..10_000_000 => format!("{}.{:02} s", us / 1_000_000, us / 10_000 % 100),
        10_000_000..60_000_000 => format!("{}.{} s", us / 1_000_000, us / 100_000 % 10),
        60_000_000..7_200_000_000 => both(us / 60_000_000, "min", us / 1_000_000 % 60, "s"),
        _ => both(us / 3_600_000_000, "h", us / 60_000_000 % 60, "min"),
    }
}

fn both(large: u64, of: &str, small: u64, of_small: &str) -> String {
    if small == 0 { format!("{large} {of}") } else { format!("{large} {of} {small} {of_small}") }
}

/// A count with its thousands apart: `12,345`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// As text of HTML, inside and outside of attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let spans =
            [7, 3_240, 412_000, 1_240_000, 38_250_000, 723_000_000, 2_400_000_000, 8_000_000_000].map(span);
        assert_eq!(
            spans,
            ["7 µs", "3.2 ms", "412 ms", "1.24 s", "38.2 s", "12 min 3 s", "40 min", "2 h 13 min"]
        );
        assert_eq!([0, 62_345_678, 3_723_004_000].map(moment), ["0:00.000", "1:02.345", "1:02:03.004"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
