//! How a session begins, is renewed and ends, as people read it: what went in, and below it what came out.
//!
//! Each test names its claim; the expected text is rewritten with `UPDATE_EXPECT=1`. The other side is `island`, a region of plain
//! lists, so that what is printed is the session's doing alone.

use crate::island::{
    DEVICE, Device, Island, OTHER, PLACEMENT, USER, check, conversation, from_here, hello, site_of,
};
use crdt::{ConversationId, DeviceId, PlacementId, UserId};
use expect_test::expect;
use gateway::error::TokenRefused;
use gateway::input::Redirect;
use gateway::{Input, limits};
use gateway_protocol::v1;
use gateway_protocol::v1::client_frame::Frame as Ask;

#[test]
fn hello_is_answered_by_a_welcome() {
    let device = Device::welcomed(&Island::new(1).site);
    check(
        &device,
        &expect![[r#"
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token good
            watch u0001000000000001
            send #7 Welcome u0001000000000001 to region-1
    "#]],
    );
}

#[test]
fn what_comes_before_the_welcome_or_does_not_fit_is_refused_by_name_and_closed() {
    let island = Island::new(1);
    let mut transcripts = String::new();
    let versions = |min, max| {
        Ask::Hello(v1::Hello { token: "t".into(), version_min: min, version_max: max, client: String::new() })
    };
    for frame in [Ask::Ping(v1::Ping {}), versions(0, 0), versions(2, 3)] {
        let mut device = Device::connect(&island.site);
        device.say(frame);
        transcripts.push_str(&device.transcript);
        assert!(device.closed.is_some());
    }
    for refused in [TokenRefused::Expired, TokenRefused::WrongCluster, TokenRefused::Invalid("signature")] {
        let mut device = Device::connect(&island.site);
        device.say(hello());
        device.step(Input::Authenticated(Err(refused)));
        transcripts.push_str(&device.transcript);
        assert!(device.closed.is_some());
    }
    let mut device = Device::connect(&island.site);
    device.say(hello());
    device.authenticate(UserId::new(crdt::PlacementId(9), 1), DEVICE);
    transcripts.push_str(&device.transcript);
    let mut device = Device::connect(&island.site);
    device.now = device.now.plus_ms(limits::HELLO_MS);
    device.step(Input::Timer);
    transcripts.push_str(&device.transcript);
    expect![[r#"
            timer at 1010000 ms
        client Ping
            send #7 Error hello_expected: a hello must be the first frame, and nothing may follow it until the welcome: connect again
            close hello_expected
            timer at 1010000 ms
        client Hello
            send #7 Error version_too_old: version 0 is below the minimum of 1: upgrade the client
            close version_too_old
            timer at 1010000 ms
        client Hello
            send #7 Error version_too_new: version 2 is above 1, the highest that this region speaks: let the client speak that one, or upgrade the region
            close version_too_new
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_expired: the token has expired: get a new one
            close token_expired
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_wrong_cluster: the token is for another cluster: get one for this
            close token_wrong_cluster
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token bad
            send #7 Error token_invalid: the token is not valid (signature): get a new one
            close token_invalid
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token good
            send #7 Error user_not_here: users of placement p9 cannot be served in this region, which has no part in it: connect to a region of that placement
            close user_not_here
            timer at 1010000 ms
        timer at 1010000 ms
            send Error hello_timeout: no hello came within 10 seconds: connect again and say it at once
            close hello_timeout
    "#]].assert_eq(&transcripts);
}

#[test]
fn a_later_hello_renews_the_token_of_the_same_device_alone() {
    let mut device = Device::welcomed(&Island::new(1).site);
    from_here(&mut device);
    device.say(hello());
    device.authenticate(USER, DEVICE);
    device.say(hello());
    device.authenticate(USER, DeviceId(2));
    check(
        &device,
        &expect![[r#"
            client Hello
                authenticate a token of 1 bytes
            token good
                send #7 Welcome u0001000000000001 to region-1
            client Hello
                authenticate a token of 1 bytes
            token good
                send #7 Error token_wrong_user: the new token is of another user or device than this connection's: open another connection for it
                close token_wrong_user
        "#]],
    );
}

#[test]
fn silence_ends_a_connection_and_a_draining_region_sends_it_away() {
    let island = Island::new(1);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.now = device.now.plus_ms(limits::SILENCE_MS - 1);
    device.step(Input::Timer);
    device.say(Ask::Ping(v1::Ping {}));
    device.now = device.now.plus_ms(limits::SILENCE_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        timer at 1089999 ms
            timer at 1090000 ms
        client Ping
            send #7 Pong
        timer at 1179999 ms
            send Error heartbeat_missed: nothing was heard for 90 seconds: connect again, and ping when idle
            close heartbeat_missed
    "#]],
    );
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    device.step(Input::Drain(Some(Redirect { region: "far".into(), url: "wss://far:1".into() })));
    device.now = device.now.plus_ms(limits::DRAIN_SPREAD_MS);
    device.step(Input::Timer);
    check(
        &device,
        &expect![[r#"
        drain
            timer at 1001649 ms
        timer at 1002000 ms
            send Redirect to far
            send Error region_draining: this region is shutting down: connect to another, or here again later
            close region_draining
    "#]],
    );
}

#[test]
fn a_region_that_is_behind_in_a_placement_answers_nobody_there() {
    let behind = PlacementId(2);
    let site = site_of(1, &[PLACEMENT, behind]);
    let mut its_user = Device::connect_to(&site, [behind].into());
    its_user.say(hello());
    its_user.authenticate(UserId::new(behind, 1), DEVICE);
    check(
        &its_user,
        &expect![[r#"
            timer at 1010000 ms
        client Hello
            authenticate a token of 1 bytes
        token good
            send #7 Error region_behind: this region has been admitted to placement p2 and does not hold all of it yet: connect to another region of that placement, or here again later
            close region_behind
    "#]],
    );
    // Whoever belongs to another placement is served, but for what is in that one.
    let mut other = Device::connect_to(&site, [behind].into());
    other.say(hello());
    other.authenticate(USER, DEVICE);
    from_here(&mut other);
    let conversation = ConversationId::group(behind, 1).to_string();
    other.say(Ask::Sync(v1::Sync { conversations: vec![conversation.clone()], ..v1::Sync::default() }));
    other.say(Ask::Sync(v1::Sync { placement: behind.to_string(), ..v1::Sync::default() }));
    other.say(Ask::List(v1::List { placement: behind.to_string(), ..v1::List::default() }));
    let message = crdt::MessageId(1).to_string();
    other.say(Ask::Send(v1::Send { conversation: conversation.clone(), message, ..v1::Send::default() }));
    other.say(Ask::Page(v1::Page { conversation, ..v1::Page::default() }));
    other.say(Ask::Sync(v1::Sync::default()));
    other.say(Ask::List(v1::List::default()));
    check(
        &other,
        &expect![[r#"
        client Sync
            send #7 Error placement_behind: this region does not hold all of placement p2 yet: connect to another region of that placement, or try again later
        client Sync
            send #7 Error placement_behind: this region does not hold all of placement p2 yet: connect to another region of that placement, or try again later
        client List
            send #7 Error placement_behind: this region does not hold all of placement p2 yet: connect to another region of that placement, or try again later
        client Send
            send #7 Error placement_behind: this region does not hold all of placement p2 yet: connect to another region of that placement, or try again later
        client Page
            send #7 Error placement_behind: this region does not hold all of placement p2 yet: connect to another region of that placement, or try again later
        client Sync
            query 1: memberships in p1
        client List
            query 3: list 100 of p1
    "#]],
    );
}

#[test]
fn the_state_printer_says_where_each_conversation_stands() {
    let mut island = Island::begun();
    island.begin(conversation(2));
    island.post(conversation(1), OTHER, 1);
    let mut device = Device::welcomed(&island.site);
    device.sync_all();
    device.read(&island);
    device.read(&island);
    expect![[r#"
        u0001000000000001 on d0000000000000001
        under way 0 · unsent 0 B · unacknowledged 1 · behind 0 · ticks of 0
        c00010000000000000000000000000001: live after 1, given {r1.0000000000000001:1}
        c00010000000000000000000000000002: catching up after 0, given {}
    "#]]
    .assert_eq(&device.session.to_string());
}
