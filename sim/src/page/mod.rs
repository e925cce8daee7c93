//! A run as one page that needs nothing else: what happened between the regions, one message from its author to every device, how long people
//! waited over time, the verdicts, and how to run it again.
//!
//! ```text
//!   world ──▶ Recorder ──▶ Recording ─┬─▶ follow (steps, and what their waits are explained by) ─▶ data ─┐
//!                                     └─▶ markup (all figures, readable without a script) ◀── Summary    ├─▶ page
//!                                         page.css · diagram.js · message.js · intervals.js ─────────────┘
//! ```
//! Pictures are drawn by the page itself from the data in it, so that they can be zoomed; everything they say also stands there as text or
//! in a table.
//!
//! What must always hold: nothing is fetched; whatever people, regions or scenarios are called stays text; integers alone, so the same run
//! gives the same page, byte for byte.

mod choose_messages;
mod data;
mod follow;
mod intervals;
mod markup;
#[cfg(test)]
mod planted;
mod recorder;
mod recording;
mod summary;
mod words;

pub(crate) use choose_messages::choose_messages;
pub(crate) use intervals::Counted;
pub(crate) use recorder::Recorder;
pub use recording::{
    Device, DeviceIndex, Fault, Harm, Intervals, Lane, Message, Place, Recording, Showing, Spread,
};
pub use summary::{Finding, Judged, Summary, Table};
pub use words::{count, escape};

/// The page of a run.
#[must_use]
pub fn page(recording: &Recording, summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to memory cannot fail.
    let _written = markup::write(&mut out, recording, summary);
    out
}

#[cfg(test)]
mod tests {
    use super::planted::{recording, summary};
    use super::*;

    #[test]
    fn the_page_stands_alone_and_says_what_was_found() {
        let page = page(&recording(), &summary());
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        // A namespace's name is not an address, and a drawing's own pattern is in the page.
        let fetching = page.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
        for outside in ["http://", "https://", "src=", "@import", "url(", "fetch("] {
            assert!(!fetching.contains(outside), "{outside} would fetch something");
        }
        for said in [
            "A promise was broken",
            "an answer stood there before its question",
            "eu-central ⇄ us-east",
            "archipelago sim replay a-short-cut --seed 7",
        ] {
            assert!(page.contains(said), "{said} is not there");
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let (mut recording, mut summary) = (recording(), summary());
        let evil = "</script><script>alert('1')</script>&amp;";
        recording.regions[0] = evil.to_owned();
        recording.devices[0].name = evil.to_owned();
        recording.faults[0].what = evil.to_owned();
        recording.messages[0].conversation = evil.to_owned();
        (summary.title, summary.story) = (evil.to_owned(), evil.to_owned());
        summary.findings[0].happened = evil.to_owned();
        summary.drawn[0].1 = evil.to_owned();
        summary.commands[0].1 = evil.to_owned();
        summary.judged[0].what = evil.to_owned();
        summary.tables[0].rows[0][0] = evil.to_owned();
        let page = page(&recording, &summary);
        assert!(!page.contains("<script>alert"));
        assert_eq!(page.matches("</script>").count(), 2, "the data and the script, and no more");
    }

    #[test]
    fn the_page_of_a_run_in_which_nothing_happened_is_a_page() {
        let page = page(&Recording::default(), &Summary::default());
        assert!(page.ends_with("</html>\n"));
    }
}
