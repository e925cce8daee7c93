//! `archipelago chat` through pipes: two people in two regions, as a newcomer's first try.
//!
//! What must always hold: what is said comes to stdout, one line a message, across regions and moves, and whoever comes later is
//! told all of it in order; what is wrong with the arguments is named, with what would be right.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use two_regions::{PROGRAM, TwoRegions};

struct Chat {
    process: Child,
    typed: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
}

impl Chat {
    fn start(regions: &TwoRegions, region: &str, me: &str, to: &str, more: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["chat", "--cluster", "demo", "--region", region, "--as", me, "--to", to])
            .args(more)
            .current_dir(regions.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let typed = process.stdin.take();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, typed, said }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.typed.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that somebody said.
    fn hear(&mut self) -> String {
        self.said.next().unwrap().unwrap()
    }

    /// The end of stdin: what was typed is acknowledged, and the program ends.
    fn end(mut self) -> Option<i32> {
        drop(self.typed.take());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn two_people_talk_across_regions_and_one_moves() {
    let regions = TwoRegions::start();
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &["--json"]);
    alice.type_line("shall we?");
    assert_eq!(bob.hear(), "alice: shall we?");
    bob.type_line("yes");
    assert_eq!(alice.hear(), "bob: yes");
    alice.type_line("/move west");
    alice.type_line("now from where you are");
    assert_eq!(bob.hear(), "alice: now from where you are");
    bob.type_line("welcome");
    assert_eq!(alice.hear(), "bob: welcome");
    assert_eq!(alice.end(), Some(0));
    assert_eq!(bob.end(), Some(0));
    // Somebody who comes later is told everything, in order.
    let mut later = Chat::start(&regions, "east", "bob", "alice", &["--device", "d0000000000000009"]);
    let heard: Vec<String> = (0..4).map(|_| later.hear()).collect();
    assert_eq!(heard, ["alice: shall we?", "you: yes", "alice: now from where you are", "you: welcome"]);
}

#[test]
fn whoever_is_removed_from_a_group_hears_nothing_until_they_are_added_again() {
    let regions = TwoRegions::start();
    let mut alice = Command::new(PROGRAM)
        .args(["chat", "--cluster", "demo", "--region", "east", "--as", "alice", "--group", "picnic"])
        .args(["--invite", "bob"])
        .current_dir(regions.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(alice.stderr.take().unwrap()).lines();
    let line = told.next().unwrap().unwrap();
    let group = line.strip_prefix("talking in ").and_then(|rest| rest.split(';').next()).unwrap().to_owned();
    // What else it tells is read, or the pipe would fill.
    let _reader = std::thread::spawn(move || told.count());
    let (typed, said) = (alice.stdin.take(), BufReader::new(alice.stdout.take().unwrap()).lines());
    let mut alice = Chat { process: alice, typed, said };
    alice.type_line("hello");
    let mut bob = Chat::start(&regions, "west", "bob", &group, &[]);
    assert!(bob.hear().ends_with(": hello"));
    bob.type_line("here");
    assert_eq!(alice.hear(), "bob: here");
    for line in ["/remove bob", "behind your back", "/add bob", "/promote bob", "welcome back"] {
        alice.type_line(line);
    }
    assert!(bob.hear().ends_with(": welcome back"));
    bob.type_line("thanks");
    assert_eq!(alice.hear(), "bob: thanks");
    bob.type_line("/add carol");
    bob.type_line("and here is carol");
    let mut carol = Chat::start(&regions, "east", "carol", &group, &[]);
    assert!(carol.hear().ends_with(": and here is carol"), "an admin by promotion adds, too");
}

#[test]
fn what_was_said_is_changed_deleted_and_reacted_to() {
    let regions = TwoRegions::start();
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &["--json"]);
    alice.type_line("shall we?");
    assert_eq!(bob.hear(), "alice: shall we?");
    alice.type_line("/edit shall we, today?");
    assert_eq!(bob.hear(), "alice: shall we, today? (edited)");
    bob.type_line("/react 👍");
    bob.type_line("yes");
    assert_eq!(alice.hear(), "bob: yes");
    alice.type_line("/delete #1");
    alice.type_line("never mind");
    assert_eq!(bob.hear(), "alice: never mind");
    assert_eq!(alice.end(), Some(0));
    assert_eq!(bob.end(), Some(0));
    // Somebody who comes later is not told what was deleted.
    let mut later = Chat::start(&regions, "east", "bob", "alice", &["--device", "d0000000000000009"]);
    let heard: Vec<String> = (0..2).map(|_| later.hear()).collect();
    assert_eq!(heard, ["you: yes", "alice: never mind"]);
}

/// Over real processes, on real disks, and while they run: nobody compacts by hand.
#[test]
fn what_was_deleted_leaves_every_file_of_both_regions() {
    // Letters in which the engine's compression finds nothing to shorten.
    let text = "zqxjkvbpygfwmucl";
    let regions = TwoRegions::start_that_erase_at_once();
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &["--json"]);
    alice.type_line(text);
    assert_eq!(bob.hear(), format!("alice: {text}"));
    let data = regions.path().join("data");
    for region in ["east", "west"] {
        assert!(is_in_a_file(&data.join(region), text), "{region} has written it down");
    }
    alice.type_line("/delete");
    let begun = Instant::now();
    while is_in_a_file(&data, text) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it lies on a disk for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    alice.type_line("never mind");
    assert_eq!(bob.hear(), "alice: never mind");
}

/// Whether some file below that folder has those bytes. One that goes away meanwhile has them no more.
fn is_in_a_file(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_a_file(&path, text);
        }
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn what_was_said_is_forwarded_and_says_so() {
    let regions = TwoRegions::start();
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &["--json"]);
    alice.type_line("the boat leaves at nine");
    assert_eq!(bob.hear(), "alice: the boat leaves at nine");
    bob.type_line("/forward a b c d e f");
    bob.type_line("/forward carol");
    let mut carol = Chat::start(&regions, "east", "carol", "bob", &[]);
    assert_eq!(
        carol.hear(),
        "bob: (forwarded) the boat leaves at nine",
        "and nothing before that: six are too many"
    );
    carol.type_line("/forward dave");
    let mut dave = Chat::start(&regions, "west", "dave", "carol", &[]);
    assert_eq!(dave.hear(), "carol: (forwarded) the boat leaves at nine");
}

/// A client knows the region that it was told at the start and no other: where to go when that one ends, the region says.
#[test]
fn a_region_that_is_told_to_end_sends_its_people_to_one_that_serves_them() {
    let mut regions = TwoRegions::start();
    let mut alice = Chat::start(&regions, "west", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "east", "bob", "alice", &[]);
    alice.type_line("here I am");
    assert_eq!(bob.hear(), "alice: here I am");
    bob.type_line("and here am I");
    assert_eq!(alice.hear(), "bob: and here am I");
    assert_eq!(regions.end(1), Some(0));
    alice.type_line("still here");
    assert_eq!(bob.hear(), "alice: still here");
    bob.type_line("so am I");
    assert_eq!(alice.hear(), "bob: so am I");
}

#[test]
fn what_does_not_exist_is_named_with_what_does() {
    let regions = TwoRegions::start();
    let failed = |arguments: &str| {
        let output = Command::new(PROGRAM)
            .args(arguments.split_whitespace())
            .current_dir(regions.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = failed("chat --cluster demo --region north --as alice --to bob");
    assert!(code == Some(4) && said.contains("there are east, west"), "{said}");
    let (code, said) = failed("chat --cluster demo --region east --as a/b --to bob");
    assert!(code == Some(2) && said.contains("neither a user id"), "{said}");
}

#[test]
fn what_a_conversation_says_of_itself_is_changed_in_two_regions_and_shown() {
    let regions = TwoRegions::start();
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &["--json"]);
    alice.type_line("shall we?");
    assert_eq!(bob.hear(), "alice: shall we?");
    // Regions know of each other what they can do once they have met, as they have by now.
    for line in ["/name sailing", "/describe to the islands", "described"] {
        alice.type_line(line);
    }
    assert_eq!(bob.hear(), "alice: described");
    for line in ["/describe to the islands, all of them", "/pin", "pinned"] {
        bob.type_line(line);
    }
    assert_eq!(alice.hear(), "bob: pinned");
    let mut about = Command::new(PROGRAM)
        .args(["chat", "--cluster", "demo", "--region", "east", "--as", "alice", "--to", "bob"])
        .args(["--device", "d0000000000000009"])
        .current_dir(regions.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(about.stdin.as_mut().unwrap(), "/about").unwrap();
    let told = BufReader::new(about.stderr.take().unwrap()).lines().map(Result::unwrap);
    let shown: Vec<String> = told.skip_while(|line| !line.contains("sailing: ")).take(2).collect();
    about.kill().unwrap();
    about.wait().unwrap();
    assert!(shown[0].ends_with("sailing: to the islands, all of them"), "{shown:?}");
    assert!(shown[1].contains("pinned: ") && shown[1].ends_with(" of you"), "{shown:?}");
}

#[test]
fn what_a_user_says_of_themselves_and_of_others_is_kept_in_their_account() {
    let regions = TwoRegions::start();
    // Regions know of each other what they can do once they have met: what one says has come to the other then.
    let mut alice = Chat::start(&regions, "east", "alice", "bob", &[]);
    let mut bob = Chat::start(&regions, "west", "bob", "alice", &[]);
    alice.type_line("shall we?");
    assert_eq!(bob.hear(), "alice: shall we?");
    let mut account = Command::new(PROGRAM)
        .args(["chat", "--cluster", "demo", "--region", "east", "--as", "alice", "--to", "alice"])
        .args(["--device", "d0000000000000009"])
        .current_dir(regions.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = account.stdin.take().unwrap();
    for line in ["/me Alice A.", "/status sailing", "/call bob Benny", "/block carol", "to myself"] {
        writeln!(typed, "{line}").unwrap();
    }
    let mut told = BufReader::new(account.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("refused (account_conversation)")), "all before it were done");
    writeln!(typed, "/about").unwrap();
    let shown: Vec<String> = told.skip_while(|line| !line.contains("you: ")).take(3).collect();
    account.kill().unwrap();
    account.wait().unwrap();
    assert!(shown[0].ends_with("you: Alice A.: sailing"), "{shown:?}");
    assert!(shown[1].ends_with(" is called Benny") && shown[2].contains("blocked: "), "{shown:?}");
}
