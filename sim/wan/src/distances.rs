//! How far regions are from each other: round trips in milliseconds.
//!
//! The numbers are medians of round trips between public cloud regions of these places (Frankfurt, Dublin, Stockholm, Virginia,
//! Oregon, Mumbai, Singapore, Tokyo, São Paulo) as published by continuous region-to-region probes in recent years, rounded
//! to a millisecond. They move by a few per cent from month to month; what matters here is that they are unequal and not small.
//!
//! A pair that is not in the table is [`UNKNOWN_ROUND_TRIP_MS`] apart: other names are allowed, and distances then are alike.

/// The regions of the table, in the order of its rows.
pub const REGIONS: [&str; 9] = [
    "eu-central",
    "eu-west",
    "eu-north",
    "us-east",
    "us-west",
    "ap-south",
    "ap-southeast",
    "ap-northeast",
    "sa-east",
];

/// The round trip of a pair that is not in the table.
pub const UNKNOWN_ROUND_TRIP_MS: u32 = 100;

/// Row r, column c: the round trip from `REGIONS[r]` to `REGIONS[c]`. Symmetric, zero on the diagonal.
const ROUND_TRIPS_MS: [[u32; 9]; 9] = [
    [0, 25, 23, 92, 158, 122, 160, 226, 203],
    [25, 0, 40, 68, 124, 123, 175, 203, 177],
    [23, 40, 0, 111, 174, 142, 178, 246, 216],
    [92, 68, 111, 0, 65, 188, 216, 148, 113],
    [158, 124, 174, 65, 0, 217, 162, 98, 175],
    [122, 123, 142, 188, 217, 0, 59, 127, 298],
    [160, 175, 178, 216, 162, 59, 0, 69, 324],
    [226, 203, 246, 148, 98, 127, 69, 0, 257],
    [203, 177, 216, 113, 175, 298, 324, 257, 0],
];

/// The round trip between two regions in milliseconds; zero from a region to itself.
#[must_use]
pub fn round_trip_ms(one: &str, other: &str) -> u32 {
    if one == other {
        return 0;
    }
    let row = REGIONS.iter().position(|name| *name == one);
    let column = REGIONS.iter().position(|name| *name == other);
    match (row, column) {
        (Some(row), Some(column)) => ROUND_TRIPS_MS[row][column],
        _ => UNKNOWN_ROUND_TRIP_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_symmetric_and_nothing_but_home_is_near() {
        for (row, one) in REGIONS.iter().enumerate() {
            for (column, other) in REGIONS.iter().enumerate() {
                assert_eq!(round_trip_ms(one, other), ROUND_TRIPS_MS[row][column]);
                assert_eq!(round_trip_ms(one, other), round_trip_ms(other, one), "{one} {other}");
                assert_eq!(round_trip_ms(one, other) == 0, one == other);
            }
        }
        assert_eq!(round_trip_ms("eu-central", "us-east"), 92);
        assert_eq!(round_trip_ms("eu-central", "moon"), UNKNOWN_ROUND_TRIP_MS);
    }
}
