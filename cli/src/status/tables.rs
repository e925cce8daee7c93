//! How regions stand, for people: tables, then what is not well.
//!
//! What must always hold: a region that does not answer has a line that says so; what is not known is a dash, never a zero.

use super::clocks::matrix;
use super::members;
use super::problems::days;
use super::said::{Overview, PeerStatus, PlacementStatus, ShortageStatus};

/// A time in words of two digits.
pub(super) fn ago(ms: Option<u64>) -> String {
    match ms.map(|ms| ms / 1_000) {
        None => "-".to_owned(),
        Some(seconds @ 0..120) => format!("{seconds} s"),
        Some(seconds @ 120..7_200) => format!("{} min", seconds / 60),
        Some(seconds) => format!("{} h", seconds / 3_600),
    }
}

/// With one digit behind the point: a good disk takes a tenth of one.
fn milliseconds(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| format!("{}.{}", us / 1_000, us % 1_000 / 100))
}

/// All that people look at.
pub(super) fn table(overview: &Overview, now_s: i64) -> String {
    let mut text = format!(
        "{:<14} {:<10} {:<8} {:>5} {:>12} {:>12} {:>8} {:>9}\n",
        "region", "placement", "state", "epoch", "operations", "stable", "waiting", "sync ms"
    );
    for (name, status) in &overview.regions {
        let Some(status) = status else {
            text += &format!("{name:<14} no answer\n");
            continue;
        };
        for PlacementStatus {
            placement,
            state,
            epoch,
            operations,
            stable,
            letters_waiting,
            last_sync_us,
            ..
        } in &status.placements
        {
            let waiting = letters_waiting.map_or_else(|| "-".to_owned(), |letters| letters.to_string());
            let sync = milliseconds(last_sync_us.filter(|us| *us > 0));
            text += &format!(
                "{name:<14} {placement:<10} {state:<8} {epoch:>5} {operations:>12} {stable:>12} {waiting:>8} {sync:>9}\n"
            );
        }
    }
    text += &format!(
        "\n{:<14} {:<14} {:<6} {:>9} {:>12} {:>8} {:>10}\n",
        "from", "to", "bridge", "trip ms", "lacks", "oldest", "compared"
    );
    for (name, status) in overview.regions.iter().filter_map(|(name, status)| Some((name, status.as_ref()?)))
    {
        for bridge in &status.bridges {
            let peers = status.placements.iter().flat_map(|placement| &placement.peers);
            let peers: Vec<&PeerStatus> = peers.filter(|peer| peer.region == bridge.peer).collect();
            let lacks: u64 = peers.iter().map(|peer| peer.lacks_operations).sum();
            let oldest = ago(peers.iter().filter_map(|peer| peer.for_ms).max());
            let state = if bridge.open { "open" } else { "down" };
            let trip = milliseconds(bridge.round_trip_us.filter(|_| bridge.open));
            text += &format!(
                "{name:<14} {:<14} {state:<6} {trip:>9} {lacks:>12} {oldest:>8} {:>10}\n",
                bridge.peer, bridge.states_compared
            );
        }
    }
    text += &members::table(&overview.regions);
    text.push('\n');
    text += &matrix(&overview.clocks_ahead_ms);
    text += &certificates(overview, now_s);
    text.push('\n');
    for closed in &overview.closed {
        text += &format!("· {}\n", closed.line());
    }
    for (name, status) in overview.regions.iter().filter_map(|(name, status)| Some((name, status.as_ref()?)))
    {
        for ShortageStatus { what, .. } in status.machine.iter().filter(|shortage| !shortage.stops) {
            text += &format!("! {name}: {what}\n");
        }
    }
    for problem in &overview.problems {
        text += &format!("✗ {problem}\n");
    }
    if overview.ok {
        text += "✓ all regions are well\n";
    }
    text
}

/// For how many days the certificates in use are good, and the authorities that are trusted.
fn certificates(overview: &Overview, now_s: i64) -> String {
    let mut text = format!("\n{:<14} {:>16} {:>16}\n", "certificates", "region's", "authorities");
    for (name, status) in &overview.regions {
        let Some(said) = status.as_ref().and_then(|status| status.certificates.as_ref()) else {
            text += &format!("{name:<14} {:>16} {:>16}\n", "-", "-");
            continue;
        };
        let left = |until_s: &i64| format!("{} days", days(*until_s, now_s));
        let authorities: Vec<String> = said.authorities_expire_s.iter().map(left).collect();
        text += &format!("{name:<14} {:>16} {:>16}\n", left(&said.expires_s), authorities.join(", "));
    }
    text
}
