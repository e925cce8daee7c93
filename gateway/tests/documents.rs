//! How documents of conversations and accounts are edited, changed and asked for, as people read it: what went in, and below it what came out.
//!
//! What must always hold: what cannot be read is refused by the field's name, and nothing of it reaches a shard. The expected text is rewritten with `UPDATE_EXPECT=1`.

use crate::island::{Device, Island, OTHER, USER, check, conversation, from_here};
use crdt::MessageId;
use expect_test::expect;
use gateway::limits;
use gateway_protocol::v1;
use gateway_protocol::v1::client_frame::Frame as Ask;

#[test]
fn a_document_is_edited_changed_and_asked_for_or_refused_by_name() {
    let mut island = Island::begun();
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    let (id, command) = (conversation(1).to_string(), MessageId::new(1, 1).to_string());
    let message = v1::MessageRef { sender: OTHER.to_string(), message: command.clone() };
    let edit = v1::EditDocument {
        conversation: id.clone(),
        command: command.clone(),
        name: Some("sailing".into()),
        pin: Some(message),
        settings: vec![v1::Setting { name: "theme".into(), value: String::new() }],
        ..v1::EditDocument::default()
    };
    device.say(Ask::EditDocument(Box::new(edit.clone())));
    let nobody = v1::MessageRef { sender: "nobody".into(), message: command.clone() };
    device.say(Ask::EditDocument(Box::new(v1::EditDocument { unpin: Some(nobody), ..edit })));
    device.say(Ask::ChangeDocument(v1::ChangeDocument {
        conversation: id.clone(),
        command,
        change: vec![1, 2, 3].into(),
    }));
    device.say(Ask::GetDocument(v1::GetDocument { conversation: id.clone() }));
    device.settle(&island);
    let view = documents::ConversationView {
        name: Some("sailing".to_owned()),
        icon: Some("boat".to_owned()),
        description: "on Sundays".to_owned(),
        pinned: [format!("{OTHER}/{}", MessageId::new(1, 1)), "what a device likes".to_owned()].into(),
        settings: [("theme".to_owned(), "dark".to_owned())].into(),
    };
    let automerge = vec![7; limits::DOCUMENT_PART_BYTES + 1];
    island.document = Some(region::read::DocumentRead { view, account: None, heads: [].into(), automerge });
    device.say(Ask::GetDocument(v1::GetDocument { conversation: id }));
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
            client EditDocument
                watch ticks of c00010000000000000000000000000001
                submit 1 to p1: 3 edits of the document of c00010000000000000000000000000001
            client EditDocument
                send #7 Error malformed_id: field `sender`: `nobody` is not a user id: it has the form `u0001000000000abc`
            client ChangeDocument
                submit 2 to p1: a change of 3 bytes of the document of c00010000000000000000000000000001
            client GetDocument
                query 3: document of c00010000000000000000000000000001
            unsent 0
            read 3
                send #7 Error unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it
            client GetDocument
                query 4: document of c00010000000000000000000000000001
            unsent 0
            read 4
                send #7 Document of c00010000000000000000000000000001 named "sailing", icon "boat", described "on Sundays", pinned ["00000000-0001-7000-8000-000000000001"], set ["theme=dark"], for actor 0001000000000000000100010000000000010000000000000001: 49152 bytes more true
                send #7 Document of c00010000000000000000000000000001 named "", icon "", described "", pinned [], set [], for actor : 1 bytes more false
        "#]],
    );
}

/// What an account has beyond a conversation is read into one change, and written out as it is read.
#[test]
fn an_account_is_edited_and_told() {
    let mut island = Island::new(1);
    let account = crdt::ConversationId::account(USER.placement(), USER);
    island.begin(account);
    let mut device = Device::welcomed(&island.site);
    from_here(&mut device);
    let (id, command) = (account.to_string(), MessageId::new(1, 2).to_string());
    let named = |name: String| vec![v1::Setting { name, value: "x".to_owned() }];
    let edit = v1::EditDocument { conversation: id.clone(), command, ..v1::EditDocument::default() };
    let good = v1::EditDocument {
        display_name: Some("Ann".to_owned()),
        status: Some(String::new()),
        contacts: named(OTHER.to_string()),
        labels: named(id.clone()),
        block: vec![OTHER.to_string()],
        unblock: vec![OTHER.to_string()],
        ..edit.clone()
    };
    device.say(Ask::EditDocument(Box::new(good)));
    for bad in [
        v1::EditDocument { contacts: named("ann".to_owned()), ..edit.clone() },
        v1::EditDocument { labels: named("here".to_owned()), ..edit.clone() },
        v1::EditDocument { block: vec!["ann".to_owned()], ..edit.clone() },
        v1::EditDocument { unblock: vec!["ann".to_owned()], ..edit },
    ] {
        device.say(Ask::EditDocument(Box::new(bad)));
    }
    let account = documents::AccountView {
        display_name: Some("Ann".to_owned()),
        status: None,
        contacts: [(OTHER.to_string(), "Benny".to_owned())].into(),
        labels: [(id.clone(), "me".to_owned())].into(),
        blocked: [OTHER.to_string()].into(),
        settings: [].into(),
    };
    let (view, account) = (documents::ConversationView::default(), Some(Box::new(account)));
    let automerge = vec![7];
    island.document = Some(region::read::DocumentRead { view, account, heads: [].into(), automerge });
    device.say(Ask::GetDocument(v1::GetDocument { conversation: id }));
    device.settle(&island);
    check(
        &device,
        &expect![[r#"
        client EditDocument
            watch ticks of c00016163636f756e0001000000000001
            submit 1 to p1: 6 edits of the document of c00016163636f756e0001000000000001
        client EditDocument
            send #7 Error malformed_id: field `contacts`: `ann` is not a user id: it has the form `u0001000000000abc`
        client EditDocument
            send #7 Error malformed_id: field `labels`: `here` is not a conversation id: it has the form `c00010000000000000000000000000abc`
        client EditDocument
            send #7 Error malformed_id: field `block`: `ann` is not a user id: it has the form `u0001000000000abc`
        client EditDocument
            send #7 Error malformed_id: field `unblock`: `ann` is not a user id: it has the form `u0001000000000abc`
        client GetDocument
            query 2: document of c00016163636f756e0001000000000001
        unsent 0
        read 2
            send #7 Document of c00016163636f756e0001000000000001 named "", icon "", described "", pinned [], set [], of "Ann", "", who calls ["u0001000000000002=Benny"], labels ["c00016163636f756e0001000000000001=me"], blocks ["u0001000000000002"], for actor 0001000000000000000100010000000000010000000000000001: 1 bytes more false
    "#]],
    );
}
