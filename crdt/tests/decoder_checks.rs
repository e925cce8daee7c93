//! What must hold of every decoder and any bytes, one function for each family: no panic, and what decodes has one encoding.
//!
//! The fuzz targets of `crdt/fuzz` call these with the bytes that they find, and `decoders.rs` calls them with the corpus that was kept, with noise and
//! with damaged records. Canonical records must encode to the very bytes they came from. Operations travel between versions as Protocol Buffers,
//! which let a later version add fields: of those the value must survive, and encoding must be a fixed point.
//!
//! A check that fails panics: that is what a fuzzer looks for.

use bytes::Bytes;
use crdt::amendments::Amendments;
use crdt::conversation::NotApplied;
use crdt::emoji::Emoji;
use crdt::escrow::{Count, Escrow};
use crdt::group::{Group, RightsChange};
use crdt::operation::{Body, Draft, Envelope};
use crdt::roster::Change;
use crdt::*;
use prost::Message as _;
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// A family of decoders and what is asked of it.
pub(crate) type Check = (&'static str, fn(&[u8]));

/// All of them, by the name of the fuzz target.
pub(crate) const CHECKS: [Check; 9] = [
    ("operation", operation),
    ("timeline", timeline),
    ("amendments", amendments),
    ("receipt", receipt),
    ("version_vector", version_vector),
    ("roster", roster),
    ("group", group),
    ("registers", registers),
    ("identifiers", identifiers),
];

fn canonical<T, E>(bytes: &[u8], decoded: Result<T, E>, encode: impl Fn(&T) -> Vec<u8>) -> Option<T> {
    let value = decoded.ok()?;
    assert_eq!(encode(&value), bytes, "what decodes is the one encoding of it");
    Some(value)
}

/// Any bytes as an envelope, and as the payload of each kind.
pub(crate) fn operation(bytes: &[u8]) {
    let dot = Dot {
        replica: ReplicaId { region: RegionId(1), incarnation: Incarnation(1) },
        sequence: Sequence(1),
    };
    let given = Bytes::copy_from_slice(bytes);
    if let Ok(envelope) = Envelope::decode(&given) {
        let general = proto::Envelope::decode(bytes).unwrap();
        assert_eq!(general.conversation[..], envelope.conversation.0.to_be_bytes());
        assert_eq!(general.message[..], envelope.message.0.to_be_bytes());
        assert_eq!(general.payload_digest[..], envelope.payload_digest);
        assert_eq!((general.hlc, general.sender), (envelope.hlc.0, envelope.sender.0));
        assert_eq!(general.kind, i32::from(envelope.kind.code()));
        assert_eq!(general.target.is_some(), envelope.target.is_some());
        let operation = Operation { dot, envelope: given.clone(), payload: None };
        let mut state = Conversation::new(envelope.conversation);
        match state.apply(&operation) {
            Ok(_) => assert!(envelope.kind.may_be_cut() && state.highest() == envelope.hlc),
            Err(error) => assert_eq!(error, NotApplied::PayloadGone(dot)),
        }
    }
    let target = Identity { sender: UserId(3), message: MessageId(4) };
    for kind in Kind::ALL {
        let envelope = Envelope {
            conversation: ConversationId(1),
            hlc: Timestamp(1),
            kind,
            sender: UserId(3),
            message: MessageId(2),
            payload_digest: operation::digest(&given),
            target: kind.amends().then_some(target),
        };
        let Ok(body) = Body::decode(&envelope, &given) else { continue };
        assert_eq!(body.kind(), kind);
        if let (Body::Post(post), Some(proto::payload::Body::Post(general))) =
            (&body, proto::Payload::decode(bytes).unwrap().body)
        {
            assert_eq!((&post.body, post.sent_at_ms), (&general.body, general.sent_after_ms));
            assert_eq!(
                (post.reply_to.is_some(), post.seen.is_some()),
                (general.reply_to.is_some(), general.seen.is_some())
            );
        }
        sealed_again(dot, &envelope, body);
    }
}

/// Issues the same anew: it reads as it was, and a conversation takes it once.
fn sealed_again(dot: Dot, envelope: &Envelope, body: Body) {
    let Envelope { conversation, hlc, sender, message, .. } = *envelope;
    let draft = Draft { conversation, hlc, sender, message, body };
    let (sealed, payload) = draft.seal([7; 16]);
    let read = Envelope::decode(&sealed).unwrap();
    assert_eq!(Body::decode(&read, &payload).as_ref(), Ok(&draft.body));
    let read = Draft { body: Body::decode(&read, &payload).unwrap(), ..draft };
    assert_eq!(read.seal([7; 16]), (sealed.clone(), payload.clone()));
    let operation = Operation { dot, envelope: sealed, payload: Some(payload) };
    let mut state = Conversation::new(conversation);
    state.apply(&operation).unwrap();
    let once = state.canonical_bytes();
    state.apply(&operation).unwrap();
    assert_eq!(state.canonical_bytes(), once, "taken twice is taken once");
}

/// Any bytes as the records that a timeline and a plain membership are kept as.
pub(crate) fn timeline(bytes: &[u8]) {
    if let Some(aliases) = canonical(bytes, Aliases::decode(bytes), Aliases::encode) {
        assert_eq!(aliases.canonical(), aliases.iter().min());
        assert_eq!(aliases.iter().collect::<Aliases>(), aliases);
    }
    if let Some(membership) = canonical(bytes, Membership::decode(bytes), Membership::encode) {
        for user in membership.members().take(64) {
            assert!(membership.member(user).is_some());
        }
    }
}

/// Any bytes as what became of a message.
pub(crate) fn amendments(bytes: &[u8]) {
    if let Some(amendments) = canonical(bytes, Amendments::decode(bytes), Amendments::encode) {
        let shown = amendments.reactions();
        assert!(shown.len() <= limits::EMOJI_DISTINCT_MAX);
        assert!(shown.iter().all(|(_, users)| users.is_sorted() && !users.is_empty()));
        assert!(!amendments.is_deleted() || (shown.is_empty() && amendments.edited().is_none()));
    }
}

/// Any bytes as a receipt.
pub(crate) fn receipt(bytes: &[u8]) {
    canonical(bytes, DeviceReceipt::decode(bytes), DeviceReceipt::encode);
    if let Some(receipt) = canonical(bytes, Receipt::decode(bytes), Receipt::encode) {
        let mut made = Receipt::new(receipt.delivered().clone(), receipt.read().clone());
        made.join(&Receipt::quiet(receipt.noted().clone()));
        assert_eq!(made, receipt);
    }
}

/// Any bytes as an entry of the directory, as a region's flags, and as whether a user sees a message.
pub(crate) fn registers(bytes: &[u8]) {
    if let Some(visibility) = canonical(bytes, Visibility::decode(bytes), Visibility::encode) {
        assert!(!visibility.clone().join(&visibility) && !visibility.clone().join(&Visibility::Shown));
    }
    if let Some(entry) = canonical(bytes, DirectoryEntry::decode(bytes), DirectoryEntry::encode) {
        assert!(!entry.clone().join(&entry) && !entry.clone().join(&DirectoryEntry::Unknown));
    }
    if let Some(flags) = canonical(bytes, Flags::decode(bytes), Flags::encode) {
        assert!(!flags.clone().join(&flags));
        for (name, flag) in flags.iter() {
            assert_eq!(name.to_string().parse().as_ref(), Ok(name));
            assert_eq!(Flags::holds([&flags], name), Some(flag));
        }
    }
}

/// Any bytes as a version vector, in each of its three forms.
pub(crate) fn version_vector(bytes: &[u8]) {
    if let Some(vector) = canonical(bytes, VersionVector::decode(bytes), VersionVector::encode) {
        assert_eq!(vector.iter().collect::<VersionVector>(), vector);
        assert_eq!(vector.meet(&vector), vector);
        assert_eq!(vector.to_string().parse::<VersionVector>().as_ref(), Ok(&vector));
    }
    let Ok(cut) = proto::Cut::decode(bytes) else { return };
    if let Ok(vector) = VersionVector::from_proto(&cut) {
        assert_eq!(vector.to_proto(), cut, "a cut that travels has one form");
    }
}

/// Any bytes as a roster's record, and as a change of one.
pub(crate) fn roster(bytes: &[u8]) {
    if let Some(roster) = canonical(bytes, Roster::decode(bytes), Roster::encode) {
        assert_eq!(roster.members().count(), roster.size());
        assert!(roster.members().all(|user| roster.member(user).is_some()));
        assert!(roster.rights().count() <= roster.size());
        assert!(roster.canonical_bytes() == roster.clone().canonical_bytes());
    }
    if let Ok(change) = Change::decode(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(Change::decode(&change.encode()), Ok(change));
    }
}

/// Any bytes as the record of a group or of an escrow, and as a movement of rights.
pub(crate) fn group(bytes: &[u8]) {
    if let Some(group) = canonical(bytes, Group::decode(bytes), Group::encode) {
        assert_eq!(group.roster().members().count(), group.roster().size());
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        assert!(group.held(replica) <= group.held_by_all());
    }
    if let Some(escrow) = canonical(bytes, Escrow::<Count>::decode(bytes), Escrow::encode) {
        for (replica, held) in escrow.holders() {
            assert_eq!(escrow.held(replica), held);
        }
    }
    if let Ok(change) = RightsChange::decode(&Bytes::copy_from_slice(bytes)) {
        assert_eq!(RightsChange::decode(&change.encode()), Ok(change));
    }
}

/// Any text as each kind of identifier, and any bytes as envelopes of a chain.
pub(crate) fn identifiers(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        one_form::<PlacementId>(text);
        one_form::<Bucket>(text);
        one_form::<PartitionId>(text);
        one_form::<RegionId>(text);
        one_form::<Incarnation>(text);
        one_form::<Sequence>(text);
        one_form::<ReplicaId>(text);
        one_form::<Dot>(text);
        one_form::<UserId>(text);
        one_form::<DeviceId>(text);
        one_form::<ConversationId>(text);
        one_form::<MessageId>(text);
        one_form::<Timestamp>(text);
        one_form::<ChainHead>(text);
        one_form::<StateDigest>(text);
        one_form::<VersionVector>(text);
        one_form::<Emoji>(text);
    }
    let vector = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<VersionVector>().ok());
    if let Some(vector) = vector {
        assert_eq!(VersionVector::decode(&vector.encode()), Ok(vector), "what can be written can be kept");
    }
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let first = ConversationId(1).partition();
    let genesis = ChainHead::genesis(first, ReplicaId { region: RegionId(1), incarnation: Incarnation(1) });
    assert_ne!(
        genesis.extend(one).extend(other),
        genesis.extend(bytes),
        "a head binds where each envelope ends"
    );
}

/// An identifier has one text.
fn one_form<T: FromStr + Display + Debug>(text: &str) {
    if let Ok(identifier) = text.parse::<T>() {
        assert_eq!(identifier.to_string(), text);
    }
}
