//! Looking for a place in sorted items from a known one on: steps double, so what is near is found by few (Bentley and Yao 1976).
//!
//! What must always hold: the answer is what `partition_point` over all that follows gives, wherever it begins.

/// The first place at or behind `from` whose item is not before the wanted one. Items that are before it come first.
pub(super) fn gallop<T>(items: &[T], mut from: usize, is_before: impl Fn(&T) -> bool) -> usize {
    let mut step = 1;
    while items.get(from + step - 1).is_some_and(&is_before) {
        from += step;
        step *= 2;
    }
    let within = items.get(from..items.len().min(from + step)).unwrap_or_default();
    from + within.partition_point(is_before)
}

#[cfg(test)]
mod tests {
    use super::gallop;

    #[test]
    fn it_finds_from_anywhere_what_a_search_of_all_that_follows_finds() {
        let items: Vec<u32> = (0..70).map(|number| number / 2 * 3).collect();
        for from in 0..=items.len() {
            for wanted in 0..110 {
                let found = from + items[from..].partition_point(|item| *item < wanted);
                assert_eq!(gallop(&items, from, |item| *item < wanted), found, "{wanted} from {from}");
            }
        }
    }
}
