//! Tells a torn tail of the write-ahead log from damage, before the engine opens the store: cuts the one, refuses the other.
//!
//! The naive way is the engine's mode that tolerates torn tails. It also stops without a word at a record in the last 32 KiB whose
//! length was damaged, and skips a block over a zeroed header: acknowledged operations in the middle would be gone, and their dots
//! issued again. The mode that refuses everything refuses real torn tails too. So the tail is judged here, and the engine is then told to refuse everything.
//!
//! What must always hold: a shard starts no commit before its last one is synced. So a record that begins after a damaged one proves that
//! the damaged one had been synced: that is damage. Only what nothing begins after can be the write that a crash interrupted.
//!
//! It refuses: damage with a later record behind it, in any file but the last, or a gap in the sequence numbers.
//! What it cannot see: a last record that was synced and then damaged. Peers notice that one (the store is behind its own past).
//!
//! Format: RocksDB's `db/log_format.h`: blocks of 32 KiB; records of masked crc32c (4), length (2), type (1), payload.

use crate::store::failure;
use region::store::StoreError;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// A batch begins with its sequence number (8) and its count (4).
const BATCH_HEAD_BYTES: usize = 12;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What one file of records holds.
#[derive(Debug, PartialEq, Eq)]
struct Walk {
    /// Where its last whole record ends: everything behind may be cut.
    whole_end: usize,
    /// The sequence number that must come next, if there was a record.
    next_sequence: Option<u64>,
    /// Where the reading stopped before the end of the file, and why.
    damage: Option<(usize, &'static str)>,
}

/// Checks the logs and the manifest of the store in that folder, and cuts the torn tail of its last write-ahead log.
pub(crate) fn cut_torn_tails(folder: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| failure(folder, "read write-ahead log", &error.to_string());
    let current = fs::read_to_string(folder.join("CURRENT")).map_err(failed)?;
    let manifest = folder.join(current.trim());
    let bytes = fs::read(&manifest).map_err(failed)?;
    // A manifest's torn tail is an edit that never took effect: the engine drops it. Damage before it, it may not notice.
    let walk = walk(&bytes, Numbered::No);
    if let Some((offset, what)) = walk.damage
        && begins_after(&bytes, offset, None)
    {
        return Err(damaged(&manifest, offset, what));
    }
    let logs = write_ahead_logs(folder).map_err(failed)?;
    for (index, log) in logs.iter().enumerate() {
        let bytes = fs::read(log).map_err(failed)?;
        let found = self::walk(&bytes, Numbered::Yes);
        let Some((offset, what)) = found.damage else { continue };
        let is_last = index + 1 == logs.len();
        if !is_last || begins_after(&bytes, offset, found.next_sequence) {
            return Err(damaged(log, offset, what));
        }
        let torn_bytes = bytes.len() - found.whole_end;
        tracing::warn!(file = %log.display(), offset = found.whole_end, torn_bytes, what, "cut the torn tail of the write-ahead log: a write that a crash interrupted before its sync");
        let file = OpenOptions::new().write(true).open(log).map_err(failed)?;
        file.set_len(found.whole_end as u64).map_err(failed)?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

fn damaged(file: &Path, offset: usize, what: &str) -> StoreError {
    StoreError::Damaged {
        table: "write-ahead log",
        key: format!("{} byte {offset}", file.display()),
        what: format!("{what}, with later records behind it"),
    }
}

/// The folder's write-ahead logs in the order in which they were written.
pub(crate) fn write_ahead_logs(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "log"))
        {
            logs.push((number, path));
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// Whether the records carry sequence numbers that follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbered {
    Yes,
    No,
}

/// One physical record: its type and its payload's place.
struct Physical {
    kind: u8,
    payload: std::ops::Range<usize>,
}

/// The physical record at that offset, if it is whole and its checksum is right.
fn physical(bytes: &[u8], offset: usize) -> Result<Physical, &'static str> {
    let Some(&[c0, c1, c2, c3, l0, l1, kind]) = bytes.get(offset..offset + HEADER_BYTES) else {
        return Err("a record header is cut short");
    };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let payload = offset + HEADER_BYTES..offset + HEADER_BYTES + length;
    if kind == 0 {
        return Err("a record header is zero");
    }
    if offset % BLOCK_BYTES + HEADER_BYTES + length > BLOCK_BYTES {
        return Err("a record's length is impossible");
    }
    let Some(checked) = bytes.get(offset + 6..payload.end) else {
        return Err("a record is cut short");
    };
    let masked = crc32c::crc32c(checked).rotate_right(15).wrapping_add(0xa282_ead8);
    if masked != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err("a record's checksum is wrong");
    }
    Ok(Physical { kind, payload })
}

/// The head of the batch that a record begins. A first fragment at the end of a block may be shorter than the head: the rest
/// then stands in the next one, at the next block's beginning. None if that is not whole.
fn head_of(bytes: &[u8], record: &Physical) -> Option<(u64, u64)> {
    let begun = bytes.get(record.payload.clone())?;
    if begun.len() >= BATCH_HEAD_BYTES || record.kind != FIRST {
        return batch_head(begun);
    }
    let next = physical(bytes, record.payload.end).ok()?;
    batch_head(&[begun, bytes.get(next.payload)?].concat())
}

/// The first sequence number and the count of operations of the batch that begins with these bytes.
fn batch_head(payload: &[u8]) -> Option<(u64, u64)> {
    let sequence = payload.get(..8)?.try_into().ok().map(u64::from_le_bytes)?;
    let count = payload.get(8..12)?.try_into().ok().map(u32::from_le_bytes)?;
    Some((sequence, u64::from(count)))
}

/// Reads records from the beginning as far as they are whole.
fn walk(bytes: &[u8], numbered: Numbered) -> Walk {
    let mut walk = Walk { whole_end: 0, next_sequence: None, damage: None };
    let mut offset = 0;
    // Where the fragmented record being read begins, and the batch it begins.
    let mut fragmented: Option<(usize, Option<u64>)> = None;
    while offset < bytes.len() {
        let left_in_block = BLOCK_BYTES - offset % BLOCK_BYTES;
        if left_in_block < HEADER_BYTES {
            offset += left_in_block;
            continue;
        }
        let record = match physical(bytes, offset) {
            Ok(record) => record,
            Err(what) => {
                walk.damage = Some((offset, what));
                return walk;
            }
        };
        let mut next_sequence = None;
        if matches!(record.kind, FULL | FIRST) {
            let head = head_of(bytes, &record);
            next_sequence = head.map(|(sequence, count)| sequence + count);
            let expected = walk.next_sequence.or(head.map(|(sequence, _)| sequence));
            // A head that is torn itself says nothing: the walk finds the tear next.
            let is_torn = head.is_none() && record.kind == FIRST;
            if numbered == Numbered::Yes && !is_torn && head.map(|(sequence, _)| sequence) != expected {
                walk.damage = Some((offset, "operations are missing before a record"));
                return walk;
            }
        }
        let end = record.payload.end;
        match (record.kind, fragmented) {
            (FULL, None) => {
                walk.next_sequence = next_sequence;
                walk.whole_end = end;
            }
            (FIRST, None) => fragmented = Some((offset, next_sequence)),
            (MIDDLE, Some(_)) => {}
            (LAST, Some((_, next_sequence))) => {
                walk.next_sequence = next_sequence;
                walk.whole_end = end;
                fragmented = None;
            }
            (FULL | FIRST, Some((begun, _))) => {
                walk.damage = Some((begun, "a record has no end"));
                return walk;
            }
            (MIDDLE | LAST, None) => {
                walk.damage = Some((offset, "a record has no beginning"));
                return walk;
            }
            // Kinds that carry no batch (the engine's notes about the file itself).
            (_, None) => walk.whole_end = end,
            (_, Some(_)) => {}
        }
        offset = end;
    }
    if let Some((begun, _)) = fragmented {
        walk.damage = Some((begun, "a record has no end"));
    }
    walk
}

/// Whether a record begins, whole or in its first fragment, anywhere behind the damage at `offset`. With sequence numbers, only one that could
/// follow counts: a message's body may hold bytes that look like a record.
fn begins_after(bytes: &[u8], offset: usize, next_sequence: Option<u64>) -> bool {
    (offset + 1..bytes.len()).any(|candidate| {
        let kind = bytes.get(candidate + 6).copied().unwrap_or_default();
        if !matches!(kind, FULL | FIRST) {
            return false;
        }
        let Ok(record) = physical(bytes, candidate) else { return false };
        let head = head_of(bytes, &record);
        let plausible = |next: u64, sequence: u64| (next..next + bytes.len() as u64).contains(&sequence);
        match (next_sequence, head) {
            (Some(next), Some((sequence, _))) => plausible(next, sequence),
            (Some(_), None) => false,
            (None, _) => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes records as the engine does: in fragments that fill the blocks.
    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let mut file = vec![];
        for record in records {
            let mut rest = &record[..];
            let mut is_first = true;
            loop {
                let left = BLOCK_BYTES - file.len() % BLOCK_BYTES;
                if left < HEADER_BYTES {
                    file.resize(file.len() + left, 0);
                    continue;
                }
                let (fragment, after) = rest.split_at(rest.len().min(left - HEADER_BYTES));
                let kind = match (is_first, after.is_empty()) {
                    (true, true) => FULL,
                    (true, false) => FIRST,
                    (false, false) => MIDDLE,
                    (false, true) => LAST,
                };
                let checked = [&[kind], fragment].concat();
                let masked = crc32c::crc32c(&checked).rotate_right(15).wrapping_add(0xa282_ead8);
                file.extend(masked.to_le_bytes());
                // A fragment is shorter than a block, which is 32 KiB.
                file.extend((fragment.len() as u16).to_le_bytes());
                file.extend(checked);
                (rest, is_first) = (after, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        file
    }

    fn batch(sequence: u64, bytes: usize) -> Vec<u8> {
        let mut batch = [&sequence.to_le_bytes()[..], &1_u32.to_le_bytes()[..]].concat();
        batch.resize(bytes.max(BATCH_HEAD_BYTES), 7);
        batch
    }

    #[test]
    fn a_batch_whose_head_lies_across_two_blocks_is_whole() {
        for left in 0..=30 {
            let first = batch(5, BLOCK_BYTES - HEADER_BYTES - left);
            let whole = file(&[first.clone(), batch(6, 300), batch(7, 20)]);
            let found = walk(&whole, Numbered::Yes);
            assert_eq!(
                (found.damage, found.next_sequence),
                (None, Some(8)),
                "{left} bytes left in the block"
            );
            // Torn anywhere in the last but one record, it is a tail; with a record missing before it, it is damage.
            let torn = file(&[first.clone(), batch(6, 300)]);
            for end in BLOCK_BYTES + 1..torn.len() {
                let found = walk(&torn[..end], Numbered::Yes);
                if let Some((offset, _)) = found.damage {
                    assert!(
                        !begins_after(&torn[..end], offset, found.next_sequence),
                        "{left} left, torn at {end}"
                    );
                }
            }
            let gap = file(&[first, batch(7, 300), batch(8, 20)]);
            let found = walk(&gap, Numbered::Yes);
            let Some((offset, what)) = found.damage else { panic!("{left} bytes left: a gap was not seen") };
            assert_eq!(what, "operations are missing before a record");
            assert!(begins_after(&gap, offset, found.next_sequence), "{left} bytes left in the block");
        }
    }
}
