//! Columns of Automerge's binary format: runs of equal values, literal runs, runs of nothing; differences; booleans.
//!
//! A column of twenty bytes can say that it holds 2^60 values, so each is read up to a number of rows and refused beyond it. What must
//! always hold: writing gives the one form that Automerge writes, since a change that is saved and loaded there is encoded again, and its
//! hash must be the same.
//!
//! Source: the Automerge binary format specification, "Columnar encoding".

use crate::change::Malformed;
use crate::numbers::{Reader, put_signed, put_unsigned};

/// Reads a column of at most so many rows.
pub(crate) fn read<T: Clone>(
    bytes: &[u8],
    rows_max: usize,
    value: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<Option<T>>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut rows: Vec<Option<T>> = Vec::new();
    while !reader.is_empty() {
        let run = reader.signed()?;
        let is_literal = run < 0;
        let length = if run == 0 { reader.unsigned()? } else { run.unsigned_abs() };
        let length = usize::try_from(length).map_err(|_| Malformed::Number)?;
        if length == 0 || length > rows_max.saturating_sub(rows.len()) {
            return Err(Malformed::TooLarge);
        }
        if run == 0 {
            rows.extend(std::iter::repeat_n(None, length));
        } else if is_literal {
            for _ in 0..length {
                rows.push(Some(value(&mut reader)?));
            }
        } else {
            rows.extend(std::iter::repeat_n(Some(value(&mut reader)?), length));
        }
    }
    Ok(rows)
}

/// Writes a column; nothing if it has no values.
pub(crate) fn write<T: PartialEq>(rows: &[Option<T>], value: impl Fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    if rows.iter().all(Option::is_none) {
        return out;
    }
    let mut literal: Vec<&T> = Vec::new();
    let flush = |literal: &mut Vec<&T>, out: &mut Vec<u8>| {
        if !literal.is_empty() {
            put_signed(-(literal.len() as i64), out);
            literal.drain(..).for_each(|row| value(row, out));
        }
    };
    for run in rows.chunk_by(|one, next| one == next) {
        match run {
            [Some(row)] => literal.push(row),
            [Some(row), ..] => {
                flush(&mut literal, &mut out);
                put_signed(run.len() as i64, &mut out);
                value(row, &mut out);
            }
            _ => {
                flush(&mut literal, &mut out);
                put_signed(0, &mut out);
                put_unsigned(run.len() as u64, &mut out);
            }
        }
    }
    flush(&mut literal, &mut out);
    out
}

/// Reads a column of numbers, each of which stands as its difference to the one before.
pub(crate) fn read_differences(bytes: &[u8], rows_max: usize) -> Result<Vec<Option<u64>>, Malformed> {
    let mut sum = 0_i64;
    let mut absolute = |difference: i64| {
        sum = sum.checked_add(difference).ok_or(Malformed::Number)?;
        u64::try_from(sum).map_err(|_| Malformed::Number)
    };
    let rows = read(bytes, rows_max, |reader| reader.signed())?;
    rows.into_iter().map(|row| row.map(&mut absolute).transpose()).collect()
}

/// Writes one. Numbers are below 2^63: counters of operations.
pub(crate) fn write_differences(rows: &[Option<u64>]) -> Vec<u8> {
    let mut last = 0_i64;
    let differences: Vec<Option<i64>> = rows
        .iter()
        .map(|row| {
            row.map(|number| {
                let number = number as i64;
                number.wrapping_sub(std::mem::replace(&mut last, number))
            })
        })
        .collect();
    write(&differences, |difference, out| put_signed(*difference, out))
}

/// Reads a column of booleans: the lengths of runs, which begin with false.
pub(crate) fn read_booleans(bytes: &[u8], rows_max: usize) -> Result<Vec<bool>, Malformed> {
    let mut reader = Reader::new(bytes);
    let (mut rows, mut is) = (Vec::new(), false);
    while !reader.is_empty() {
        let length = reader.count(rows_max.saturating_sub(rows.len()))?;
        rows.extend(std::iter::repeat_n(is, length));
        is = !is;
        // Only the first run may be empty, else a column without rows is as long as it likes.
        if length == 0 && !(rows.is_empty() && is) {
            return Err(Malformed::Number);
        }
    }
    Ok(rows)
}

/// Writes one.
pub(crate) fn write_booleans(rows: &[bool]) -> Vec<u8> {
    let mut out = Vec::new();
    if rows.first() == Some(&true) {
        out.push(0);
    }
    for run in rows.chunk_by(|one, next| one == next) {
        put_unsigned(run.len() as u64, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Malformed, put_unsigned, read, read_booleans, read_differences, write};
    use super::{write_booleans, write_differences};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn columns_are_read_as_they_were_written(
            numbers in vec(option::of(0_u64..3), 0..40),
            counters in vec(option::of(0_u64..1 << 40), 0..40),
            booleans in vec(any::<bool>(), 0..40),
        ) {
            let bytes = write(&numbers, |number, out| put_unsigned(*number, out));
            let read = read(&bytes, 40, |reader| reader.unsigned()).unwrap();
            assert!(read == numbers || (read.is_empty() && numbers.iter().all(Option::is_none)));
            let read = read_differences(&write_differences(&counters), 40).unwrap();
            assert!(read == counters || (read.is_empty() && counters.iter().all(Option::is_none)));
            assert_eq!(read_booleans(&write_booleans(&booleans), 40).unwrap(), booleans);
        }
    }

    #[test]
    fn a_column_that_claims_more_rows_than_there_may_be_is_refused_at_once() {
        let mut bytes = Vec::new();
        super::put_signed(i64::MAX, &mut bytes);
        bytes.push(1);
        assert_eq!(read(&bytes, 40, |reader| reader.unsigned()), Err(Malformed::TooLarge));
        let mut bytes = Vec::new();
        put_unsigned(u64::MAX >> 1, &mut bytes);
        assert_eq!(read_booleans(&bytes, 40), Err(Malformed::TooLarge));
        assert!(read_booleans(&[0, 0, 0], 40).is_err());
        assert!(read(&[0, 0], 40, |reader| reader.unsigned()).is_err(), "a run of none");
    }
}
