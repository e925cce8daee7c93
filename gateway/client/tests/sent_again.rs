//! What is sent again to the replica that has acknowledged it, and what the user writes meanwhile (decision 0036).
//!
//! While another region is cut off nothing becomes stable, so a device comes back to its region with everything it has written since.
//!
//! What must always hold: a test says which region answers, and what it has; a command is named by its number and by the number in its `after`, 0 for none.

use crate::story::{Story, conversation, deliver, done, error, post, welcome};
use crdt::{ConversationId, MessageId, PlacementId};
use gateway_client::{Act, Amend, ConnectionId, Input, limits};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame as Told;

/// A command that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    request: u64,
    command: u128,
    after: u128,
}

/// A device and its connections, one after the other.
struct Device {
    story: Story,
    connection: u64,
}

impl Device {
    /// Welcomed by that region, which stands in epoch 1.
    fn in_region(region_id: &str) -> Self {
        let mut story = Story::new();
        story.step("", Input::Start);
        story.step("", Input::Connected(ConnectionId(1)));
        let mut device = Self { story, connection: 1 };
        device.hear(1, welcome_of(region_id, 1));
        device.story.text.clear();
        device
    }

    /// The connection fails.
    fn is_cut_off(&mut self) {
        self.story.step("", Input::Disconnected(ConnectionId(self.connection)));
        self.connection += 1;
    }

    /// The next one is welcomed by that region in that epoch. These commands go out with it.
    fn is_welcomed_by(&mut self, region_id: &str, epoch: u64) -> Vec<Sent> {
        self.story.wait();
        self.story.step("", Input::Connected(ConnectionId(self.connection)));
        self.story.text.clear();
        self.hear(0, welcome_of(region_id, epoch));
        self.sent()
    }

    fn comes_back_to(&mut self, region_id: &str, epoch: u64) -> Vec<Sent> {
        self.is_cut_off();
        self.is_welcomed_by(region_id, epoch)
    }

    fn hear(&mut self, request: u64, frame: Told) {
        self.story.hear(self.connection, request, frame);
    }

    /// The user writes these messages.
    fn write(&mut self, messages: std::ops::RangeInclusive<u128>) -> Vec<Sent> {
        messages.for_each(|message| self.story.send(1, message));
        self.sent()
    }

    /// The user gives an emoji to message 1.
    fn react(&mut self, command: u128, emoji: &str) -> Vec<Sent> {
        let (conversation, target) = (conversation(1), (crate::story::ME, MessageId(1)));
        let what = Amend::React(emoji.into());
        let command = Some(MessageId(command));
        self.story.act("", Act::Amend { conversation, command, target, what });
        self.sent()
    }

    /// The region takes all that goes out, or has it.
    fn all_done(&mut self, sent: Vec<Sent>) {
        self.answers(sent, &mut (1..=1_000).collect());
    }

    /// A region that has these answers what goes out, and takes what it lacks.
    fn answers(&mut self, sent: Vec<Sent>, has: &mut Vec<u128>) {
        let mut under_way = std::collections::VecDeque::from(sent);
        let mut answers = 0;
        while let Some(one) = under_way.pop_front() {
            answers += 1;
            assert!(answers < 10_000, "{one:?} goes on for ever");
            if has.contains(&one.command) {
                self.is_done(one);
            } else if one.after == 0 || has.contains(&one.after) {
                has.push(one.command);
                self.is_done(one);
            } else {
                self.is_refused(one, "predecessor_missing");
            }
            under_way.extend(self.sent());
        }
    }

    fn is_done(&mut self, Sent { request, command, .. }: Sent) {
        self.hear(request, done(command, &format!("r1.0000000000000001:{command}")));
    }

    fn is_refused(&mut self, one: Sent, code: &str) {
        self.hear(one.request, error(code, false));
    }

    /// What has gone out since the last look, receipts and the like left out.
    fn sent(&mut self) -> Vec<Sent> {
        let field = |frame: &str, name: &str| {
            let (_, rest) = frame.split_once(&format!("\"{name}\":\""))?;
            Some(rest.split('"').next().unwrap().to_owned())
        };
        let number = |id: String| id.parse::<MessageId>().unwrap().0;
        let read = |frame: &str| {
            let command = field(frame, "command").or_else(|| field(frame, "message"))?;
            let request = field(frame, "request").unwrap().parse().unwrap();
            let after = field(frame, "after").map_or(0, number);
            Some(Sent { request, command: number(command), after })
        };
        let text = std::mem::take(&mut self.story.text);
        text.lines().filter(|line| line.starts_with("send ")).filter_map(read).collect()
    }
}

fn welcome_of(region_id: &str, epoch: u64) -> Told {
    let Told::Welcome(mut told) = welcome("near") else { unreachable!("it is one") };
    told.region_id = region_id.into();
    told.placements.iter_mut().for_each(|placement| placement.epoch = epoch);
    Told::Welcome(told)
}

fn numbers(sent: &[Sent]) -> Vec<(u128, u128)> {
    sent.iter().map(|one| (one.command, one.after)).collect()
}

/// Region 1 has acknowledged so many messages, none of which is stable.
fn with_unstable(count: u128) -> Device {
    let mut device = Device::in_region("r1");
    let sent = device.write(1..=count);
    device.all_done(sent);
    assert_eq!(device.story.client.unstable(), usize::try_from(count).unwrap());
    device
}

#[test]
fn what_is_written_now_goes_out_at_once_however_much_is_sent_again() {
    let mut device = with_unstable(500);
    device.is_cut_off();
    device.write(501..=501);
    let sent = device.is_welcomed_by("r1", 1);
    assert_eq!(numbers(&sent), [(501, 500), (500, 499)], "no frame before it, and one behind it");
    // The last of what was acknowledged is there, so all of it is: so many are on their way when the next one is written.
    device.is_done(sent[1]);
    let repeated = device.sent();
    assert_eq!(numbers(&repeated), (1..=8).map(|number| (number, 0)).collect::<Vec<_>>());
    assert_eq!(numbers(&device.write(502..=502)), [(502, 501)]);
    device.is_done(sent[0]);
    device.all_done(repeated);
    assert_eq!(device.story.client.to_string().matches("to send").count(), 1, "502 is not answered");
}

#[test]
fn what_is_sent_again_is_named_anew_and_leaves_when_it_is_stable() {
    let mut device = with_unstable(40);
    let sent = device.comes_back_to("r1", 1);
    device.all_done(sent);
    let cut = Some(v1::Cut { dots: vec!["r1.0000000000000001:40".into()] });
    device.hear(0, Told::Stable(v1::Stable { conversation: conversation(1).to_string(), cut }));
    assert_eq!(device.story.client.unstable(), 0);
}

#[test]
fn a_region_that_lost_what_it_acknowledged_is_given_it_in_order_before_anything_new() {
    let mut device = with_unstable(40);
    let mut sent = device.comes_back_to("r1", 1);
    let new = device.write(41..=42);
    assert_eq!(numbers(&new), [(41, 40), (42, 41)]);
    sent.extend(new);
    // It was put back to a copy that ends with 20.
    let mut has: Vec<u128> = (1..=20).collect();
    device.answers(sent, &mut has);
    assert_eq!(has, (1..=42).collect::<Vec<_>>());
    assert!(!device.story.client.to_string().contains("to send"));
}

#[test]
fn a_reaction_that_was_lost_is_given_again_before_the_message_that_names_it() {
    let mut device = with_unstable(2);
    let sent = device.react(3, "👍");
    device.is_done(sent[0]);
    let mut sent = device.comes_back_to("r1", 1);
    sent.extend(device.write(4..=4));
    assert_eq!(numbers(&sent), [(2, 1), (4, 3)]);
    let mut has = vec![1, 2];
    device.answers(sent, &mut has);
    assert_eq!(has, [1, 2, 3, 4]);
}

#[test]
fn another_replica_is_given_everything_in_order() {
    for (region_id, epoch) in [("r2", 1), ("r1", 2), ("r1", 0), ("", 1)] {
        let mut device = with_unstable(3);
        let sent = device.comes_back_to(region_id, epoch);
        assert_eq!(numbers(&sent), [(1, 0), (2, 1), (3, 2)], "region {region_id} in epoch {epoch}");
        assert_eq!(numbers(&device.write(4..=4)), [(4, 3)]);
    }
}

#[test]
fn a_replica_is_known_again_after_another_one_was_met() {
    let mut device = with_unstable(3);
    let sent = device.comes_back_to("r2", 1);
    device.all_done(sent);
    assert_eq!(numbers(&device.comes_back_to("r1", 1)), [(3, 2)]);
}

#[test]
fn what_another_region_alone_acknowledged_goes_first_and_in_order() {
    let mut device = with_unstable(2);
    device.comes_back_to("r2", 1);
    let sent = device.write(3..=3);
    device.is_done(sent[0]);
    let sent = device.comes_back_to("r1", 1);
    assert_eq!(numbers(&sent), [(3, 2), (2, 1)], "region 1 has 1 and 2");
    assert_eq!(numbers(&device.write(4..=4)), [(4, 3)]);
}

/// Seed 1 of `away-for-forty-days`, once people talked more: the region that took the first one is closed, and for the next one it is too old. The two were sent again, and refused, as
/// fast as the line was.
#[test]
fn what_is_refused_in_vain_is_not_named_again_by_what_named_it() {
    let mut device = with_unstable(1);
    device.is_cut_off();
    device.write(2..=2);
    let sent = device.is_welcomed_by("r2", 1);
    assert_eq!(numbers(&sent), [(1, 0), (2, 1)]);
    device.is_refused(sent[0], "message_too_old");
    assert_eq!(device.sent(), []);
    device.is_refused(sent[1], "predecessor_missing");
    assert_eq!(numbers(&device.sent()), [(2, 0)]);
}

#[test]
fn what_is_no_message_waits_for_one_answer_about_all_that_was_acknowledged() {
    let mut device = with_unstable(300);
    device.is_cut_off();
    device.react(301, "👍");
    let sent = device.is_welcomed_by("r1", 1);
    assert_eq!(numbers(&sent), [(300, 299)]);
    assert_eq!(device.write(302..=302), [], "others are to be shown it after the reaction");
    device.is_done(sent[0]);
    let next = device.sent();
    assert_eq!(next[0].command, 301);
    device.is_done(next[0]);
    assert_eq!(numbers(&device.sent()), [(302, 0)]);
}

#[test]
fn what_is_no_message_and_was_acknowledged_holds_up_no_message() {
    let mut device = with_unstable(2);
    let sent = device.react(3, "👍");
    device.is_done(sent[0]);
    let sent = device.react(4, "👎");
    device.is_done(sent[0]);
    let sent = device.comes_back_to("r1", 1);
    assert_eq!(numbers(&sent), [(2, 1)]);
    let new = device.write(5..=5);
    assert_eq!(numbers(&new), [(5, 4)], "it names the reaction");
    device.is_done(sent[0]);
    assert_eq!(numbers(&device.sent()), [(1, 0)], "a reaction goes alone while it may be lost");
    device.is_done(new[0]);
    assert_eq!(numbers(&device.sent()), [(3, 0), (4, 0)]);
}

#[test]
fn behind_the_last_message_that_was_acknowledged_commands_go_one_by_one() {
    let mut device = with_unstable(1);
    for command in 2..=4 {
        let sent = device.react(command, "👍");
        device.is_done(sent[0]);
    }
    let mut sent = device.comes_back_to("r1", 1);
    for command in 1..=4 {
        assert_eq!(numbers(&sent), [(command, 0)]);
        device.is_done(sent[0]);
        sent = device.sent();
    }
}

#[test]
fn what_the_region_delivers_it_still_has() {
    let mut device = with_unstable(30);
    let sent = device.comes_back_to("r1", 1);
    assert_eq!(numbers(&sent), [(30, 29)]);
    let Told::Deliver(mut told) = deliver(1, &[("1.0", "r1.0000000000000001:30", post(None))], "a") else {
        unreachable!("it is one")
    };
    told.items[0].sender = crate::story::ME.to_string();
    told.items[0].message = MessageId(30).to_string();
    device.hear(0, Told::Deliver(told));
    assert_eq!(numbers(&device.sent())[0], (1, 0));
}

/// A store that was put back to before the group began does not know it.
#[test]
fn a_refusal_of_what_went_ahead_counts_only_in_its_turn() {
    let mut device = with_unstable(3);
    let sent = device.comes_back_to("r1", 1);
    let new = device.write(4..=4);
    device.is_refused(new[0], "unknown_conversation");
    assert_eq!(device.story.client.unstable(), 4, "it is not given up");
    assert_eq!(device.sent(), []);
    device.is_refused(sent[0], "unknown_conversation");
    let again = device.sent();
    assert_eq!(numbers(&again), [(1, 0), (2, 1), (3, 2)]);
    device.all_done(again[..2].to_vec());
    assert_eq!(device.sent(), []);
    device.is_done(again[2]);
    let last = device.sent();
    assert_eq!(numbers(&last), [(4, 0)]);
    device.is_refused(last[0], "unknown_conversation");
    assert_eq!(device.story.client.unstable(), 3, "now it is");
}

#[test]
fn who_is_not_a_member_any_more_is_told_after_one_round_trip() {
    let mut device = with_unstable(200);
    let sent = device.comes_back_to("r1", 1);
    let new = device.write(201..=201);
    device.is_refused(new[0], "not_a_member");
    device.is_done(sent[0]);
    let again = device.sent();
    assert_eq!(again[0].command, 201);
    device.is_refused(again[0], "not_a_member");
    assert!(device.story.text.contains("not_a_member"));
    assert_eq!(device.story.client.unstable(), 200);
}

#[test]
fn that_a_new_message_is_missing_says_nothing_of_what_was_acknowledged() {
    let mut device = with_unstable(200);
    let sent = device.comes_back_to("r1", 1);
    let new = device.write(201..=202);
    device.is_refused(new[0], "feature_off");
    device.is_refused(new[1], "predecessor_missing");
    assert_eq!(device.sent(), [], "200 of them would be in the way");
    device.is_done(sent[0]);
    assert_eq!(device.sent()[0].command, 201);
}

#[test]
fn a_refusal_for_the_moment_of_what_is_sent_again_holds_up_its_conversation() {
    let mut device = with_unstable(3);
    let sent = device.comes_back_to("r1", 1);
    device.hear(sent[0].request, error("busy", true));
    assert_eq!(device.write(4..=4), []);
    device.story.wait();
    assert_eq!(numbers(&device.sent()), [(4, 3), (3, 2)]);
}

#[test]
fn what_is_new_in_any_conversation_goes_before_what_is_sent_again_in_all() {
    let mut device = Device::in_region("r1");
    let of = |number: u64| ConversationId::group(PlacementId(1), number.into());
    let write = |device: &mut Device, number: u64, message: u128, length: usize| {
        let (body, message) = ("x".repeat(length).into(), Some(MessageId(message)));
        device.story.act("", Act::Send { conversation: of(number), message, body, reply_to: None });
        device.sent()
    };
    for message in 1..=200 {
        let sent = write(&mut device, u64::try_from(message % 20).unwrap(), message, 10);
        for Sent { request, command, .. } in sent {
            let Told::Done(told) = done(command, &format!("r1.0000000000000001:{command}")) else {
                unreachable!("it is one")
            };
            let conversation = of(u64::try_from(command % 20).unwrap()).to_string();
            device.hear(request, Told::Done(v1::Done { conversation, ..told }));
        }
    }
    let sent = device.comes_back_to("r1", 1);
    assert_eq!(sent.len(), limits::REPEATED_IN_FLIGHT_MAX, "of 20 conversations");
    let new: Vec<Sent> =
        (0..20).flat_map(|number| write(&mut device, number, 1_000 + u128::from(number), 10)).collect();
    assert_eq!(new.len(), 20, "room is left for them");
    let later = write(&mut device, 30, 2_000, 10);
    device.is_done(sent[0]);
    let next = device.sent();
    assert_eq!((later.len(), next.len()), (1, 1));
    assert!(next[0].command <= 200, "nothing new waits, so the next is sent again: {next:?}");
}

#[test]
fn long_messages_that_are_sent_again_leave_a_slow_line_free() {
    let mut device = Device::in_region("r1");
    for number in 1..=10_u128 {
        let (conversation, body) = (conversation(1), "x".repeat(10 << 10).into());
        let message = Some(MessageId(number));
        device.story.act("", Act::Send { conversation, message, body, reply_to: None });
    }
    let sent = device.sent();
    device.all_done(sent);
    let sent = device.comes_back_to("r1", 1);
    device.is_done(sent[0]);
    assert_eq!(numbers(&device.sent()), [(1, 0), (2, 0)], "20 KiB of 16");
}
