//! What one client was told and shown, as lines of JSON: the evidence that everything is judged by.
//!
//! A history is written by the device's own side of the connection, while it happens, one line an event, in the order of happening. The format is
//! documented in `docs/histories.md` and stable: fields are added, never renamed.
//!
//! What must always hold: `read(write(event)) == event`; ids stand in their one textual form; times are microseconds since the
//! replay began, on one clock for all histories of a replay, and never fall within a history.

use crdt::{ConversationId, Cut, DeviceId, Dot, MessageId, PlacementId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// The format's name, in the first line of every history.
pub const FORMAT: &str = "archipelago.history.v1";

/// One line of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the replay began.
    pub at_us: u64,
    /// What happened.
    pub event: Event,
}

/// What happened to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first line: whose history this is.
    Began {
        /// [`FORMAT`].
        format: String,
        /// The user.
        #[serde(with = "text")]
        user: UserId,
        /// The device.
        #[serde(with = "text")]
        device: DeviceId,
        /// The home region's name.
        home: String,
        /// What people call the user.
        name: String,
    },
    /// A region welcomed the client.
    SignedIn {
        /// Its name.
        region: String,
        /// The placement whose own connection this is; none for the home connection.
        #[serde(with = "optional_text")]
        placement: Option<PlacementId>,
    },
    /// A connection ended.
    SignedOut {
        /// The placement whose own connection this was; none for the home connection.
        #[serde(with = "optional_text")]
        placement: Option<PlacementId>,
    },
    /// The user moves to another region.
    Roamed {
        /// Its name.
        region: String,
    },
    /// The user posts a message.
    Posted(Own),
    /// A region says that the message is durable: one tick.
    Acknowledged {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Its id.
        #[serde(with = "text")]
        message: MessageId,
        /// Its place as that region gave it.
        place: Place,
    },
    /// The message is durable in every region of its placement.
    Stable(Own),
    /// The user's own message reached another device.
    Delivered(Tick),
    /// The user's own message was read on another device.
    Read(Tick),
    /// Something was refused for good.
    Refused {
        /// The stable code.
        code: String,
        /// The message, if it was one.
        #[serde(with = "optional_text")]
        message: Option<MessageId>,
    },
    /// A message was shown.
    Shown {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Whose.
        #[serde(with = "text")]
        sender: UserId,
        /// Its id.
        #[serde(with = "text")]
        message: MessageId,
        /// Its place in the display order.
        place: Place,
        /// Whether it carries the mark: its author had seen what is missing here.
        marked: bool,
    },
    /// A shown message moved to another place in the display order.
    Moved {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Whose.
        #[serde(with = "text")]
        sender: UserId,
        /// Its id.
        #[serde(with = "text")]
        message: MessageId,
        /// Its new place.
        place: Place,
    },
    /// Another region has taken a message too; where it is shown, nothing changes.
    Repeated {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Whose.
        #[serde(with = "text")]
        sender: UserId,
        /// Its id.
        #[serde(with = "text")]
        message: MessageId,
        /// The place of that copy.
        place: Place,
    },
    /// A shown message lost its mark.
    MarkCleared(Identity),
    /// The client was told that the conversation began, with these members.
    Created {
        /// Which.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Its first members.
        #[serde(with = "texts")]
        members: Vec<UserId>,
    },
    /// The client was told that a member was added.
    Added {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Who.
        #[serde(with = "text")]
        user: UserId,
        /// What that user is not shown.
        #[serde(with = "cut")]
        since: Cut,
    },
    /// The client was told that a member left, or was removed.
    Left {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Who.
        #[serde(with = "text")]
        user: UserId,
    },
    /// A message looks different now: it was edited, deleted for everyone, or has other reactions.
    Looks {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Whose.
        #[serde(with = "text")]
        sender: UserId,
        /// Its id.
        #[serde(with = "text")]
        message: MessageId,
        /// How ([`look`]); none if it looks as it was sent.
        look: Option<String>,
    },
    /// The user has taken a message out of their own view.
    Hidden(Identity),
    /// Who may change the members of a conversation when all is over.
    Governed {
        /// Which.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// Its admins.
        #[serde(with = "texts")]
        admins: Vec<UserId>,
    },
    /// What stands on the screen when all is over, from top to bottom.
    Displayed {
        /// Where.
        #[serde(with = "text")]
        conversation: ConversationId,
        /// The messages, in the order displayed.
        messages: Vec<Author>,
    },
}

/// A message of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Where.
    #[serde(with = "text")]
    pub conversation: ConversationId,
    /// Its id.
    #[serde(with = "text")]
    pub message: MessageId,
}

/// A message's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Where.
    #[serde(with = "text")]
    pub conversation: ConversationId,
    /// Whose.
    #[serde(with = "text")]
    pub sender: UserId,
    /// Its id.
    #[serde(with = "text")]
    pub message: MessageId,
}

/// A message's identity within a conversation that is named beside it, and how it looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Whose.
    #[serde(with = "text")]
    pub sender: UserId,
    /// Its id.
    #[serde(with = "text")]
    pub message: MessageId,
    /// How it looks ([`look`]); none if as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<String>,
}

/// What a message looks like that was edited, deleted or reacted to, in 32 hexadecimal digits: the first half of BLAKE3 over a line `deleted`, or over the body of the
/// edit that it shows, if it shows one, behind a line `edited` and its length in bytes, and behind that a line for each reaction, with its emoji and how many gave it.
#[must_use]
pub fn look<'a>(
    deleted: bool,
    edited: Option<&[u8]>,
    reactions: impl Iterator<Item = (&'a str, usize)>,
) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    if deleted {
        hasher.update(b"deleted\n");
    } else {
        if let Some(body) = edited {
            hasher.update(format!("edited {}\n", body.len()).as_bytes()).update(body);
        }
        for (emoji, count) in reactions {
            hasher.update(format!("{emoji} {count}\n").as_bytes());
        }
    }
    (hasher.count() > 0).then(|| hasher.finalize().to_hex().as_str().split_at(32).0.to_owned())
}

/// A receipt for a message of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Where.
    #[serde(with = "text")]
    pub conversation: ConversationId,
    /// The user's own message.
    #[serde(with = "text")]
    pub message: MessageId,
    /// Whose device.
    #[serde(with = "text")]
    pub user: UserId,
    /// Which.
    #[serde(with = "text")]
    pub device: DeviceId,
}

/// A place in the display order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The time.
    #[serde(with = "text")]
    pub hlc: Timestamp,
    /// The operation.
    #[serde(with = "text")]
    pub dot: Dot,
}

/// A line that is not of a history.
#[derive(Debug, thiserror::Error)]
#[error("not a line of a history ({FORMAT}): {0}")]
pub struct MalformedLine(#[from] serde_json::Error);

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// [`MalformedLine`] with what is wrong and where.
    pub fn read(line: &str) -> Result<Self, MalformedLine> {
        Ok(serde_json::from_str(line)?)
    }

    /// Writes it at the end of `out`, with the line's end.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail, and every value here has a JSON form.
        let written = serde_json::to_writer(&mut *out, self);
        debug_assert!(written.is_ok(), "a history line has no map with keys that are not text");
        out.push(b'\n');
    }
}

/// Ids as their text.
pub(crate) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(crate) fn deserialize<'de, T, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

/// Ids that may be absent.
pub(crate) mod optional_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display, S: Serializer>(
        id: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(Error::custom)).transpose()
    }
}

/// Lists of ids.
pub(crate) mod texts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display, S: Serializer>(ids: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, T, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr,
        T::Err: Display,
    {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(Error::custom)).collect()
    }
}

/// Cuts as the sorted list of their last dots.
pub(crate) mod cut {
    use crdt::{Cut, Dot};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(cut: &Cut, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cut.iter().map(|dot| dot.to_string()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cut, D::Error> {
        let dots: Vec<Dot> = super::texts::deserialize(deserializer)?;
        Ok(dots.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::expect;

    fn examples() -> Vec<Event> {
        let conversation = ConversationId::group(PlacementId(1), 0xabc);
        let (user, device) = (UserId::new(PlacementId(1), 7), DeviceId(9));
        let message = MessageId::new(1_732_500_000_000, 5);
        let own = Own { conversation, message };
        let identity = Identity { conversation, sender: user, message };
        let dot: Dot = "r1.00000000000000ff:12".parse().unwrap();
        let place = Place { hlc: Timestamp::from_ms(1_732_500_000_123), dot };
        let tick = Tick { conversation, message, user, device };
        let (home, name) = ("us-east".to_owned(), "ann".to_owned());
        vec![
            Event::Began { format: FORMAT.to_owned(), user, device, home: home.clone(), name },
            Event::SignedIn { region: home.clone(), placement: None },
            Event::SignedOut { placement: Some(PlacementId(2)) },
            Event::Roamed { region: home },
            Event::Posted(own.clone()),
            Event::Acknowledged { conversation, message, place },
            Event::Stable(own),
            Event::Delivered(tick.clone()),
            Event::Read(tick),
            Event::Refused { code: "not_creator".to_owned(), message: None },
            Event::Shown { conversation, sender: user, message, place, marked: true },
            Event::Moved { conversation, sender: user, message, place },
            Event::Repeated { conversation, sender: user, message, place },
            Event::MarkCleared(identity.clone()),
            Event::Created { conversation, members: vec![user] },
            Event::Added { conversation, user, since: [dot].into_iter().collect() },
            Event::Left { conversation, user },
            Event::Looks {
                conversation,
                sender: user,
                message,
                look: look(false, Some(b"b"), [("x", 2)].into_iter()),
            },
            Event::Hidden(identity),
            Event::Governed { conversation, admins: vec![user] },
            Event::Displayed { conversation, messages: vec![Author { sender: user, message, look: None }] },
        ]
    }

    #[test]
    fn the_format_is_stable() {
        let mut out = vec![];
        for (number, event) in examples().into_iter().enumerate() {
            let line = Line { at_us: number as u64 * 1_000, event };
            let from = out.len();
            line.write(&mut out);
            let text = std::str::from_utf8(&out[from..]).unwrap();
            assert_eq!(Line::read(text.trim_end()).unwrap(), line);
        }
        expect![[r#"
            {"at_us":0,"event":{"began":{"format":"archipelago.history.v1","user":"u0001000000000007","device":"d0000000000000009","home":"us-east","name":"ann"}}}
            {"at_us":1000,"event":{"signed_in":{"region":"us-east","placement":null}}}
            {"at_us":2000,"event":{"signed_out":{"placement":"p2"}}}
            {"at_us":3000,"event":{"roamed":{"region":"us-east"}}}
            {"at_us":4000,"event":{"posted":{"conversation":"c00010000000000000000000000000abc","message":"0193610c-0d00-7000-8000-000000000005"}}}
            {"at_us":5000,"event":{"acknowledged":{"conversation":"c00010000000000000000000000000abc","message":"0193610c-0d00-7000-8000-000000000005","place":{"hlc":"1732500000123.0","dot":"r1.00000000000000ff:12"}}}}
            {"at_us":6000,"event":{"stable":{"conversation":"c00010000000000000000000000000abc","message":"0193610c-0d00-7000-8000-000000000005"}}}
            {"at_us":7000,"event":{"delivered":{"conversation":"c00010000000000000000000000000abc","message":"0193610c-0d00-7000-8000-000000000005","user":"u0001000000000007","device":"d0000000000000009"}}}
            {"at_us":8000,"event":{"read":{"conversation":"c00010000000000000000000000000abc","message":"0193610c-0d00-7000-8000-000000000005","user":"u0001000000000007","device":"d0000000000000009"}}}
            {"at_us":9000,"event":{"refused":{"code":"not_creator","message":null}}}
            {"at_us":10000,"event":{"shown":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005","place":{"hlc":"1732500000123.0","dot":"r1.00000000000000ff:12"},"marked":true}}}
            {"at_us":11000,"event":{"moved":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005","place":{"hlc":"1732500000123.0","dot":"r1.00000000000000ff:12"}}}}
            {"at_us":12000,"event":{"repeated":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005","place":{"hlc":"1732500000123.0","dot":"r1.00000000000000ff:12"}}}}
            {"at_us":13000,"event":{"mark_cleared":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005"}}}
            {"at_us":14000,"event":{"created":{"conversation":"c00010000000000000000000000000abc","members":["u0001000000000007"]}}}
            {"at_us":15000,"event":{"added":{"conversation":"c00010000000000000000000000000abc","user":"u0001000000000007","since":["r1.00000000000000ff:12"]}}}
            {"at_us":16000,"event":{"left":{"conversation":"c00010000000000000000000000000abc","user":"u0001000000000007"}}}
            {"at_us":17000,"event":{"looks":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005","look":"1e971e4152667ba6a802a7d45ccc794f"}}}
            {"at_us":18000,"event":{"hidden":{"conversation":"c00010000000000000000000000000abc","sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005"}}}
            {"at_us":19000,"event":{"governed":{"conversation":"c00010000000000000000000000000abc","admins":["u0001000000000007"]}}}
            {"at_us":20000,"event":{"displayed":{"conversation":"c00010000000000000000000000000abc","messages":[{"sender":"u0001000000000007","message":"0193610c-0d00-7000-8000-000000000005"}]}}}
        "#]].assert_eq(std::str::from_utf8(&out).unwrap());
    }

    #[test]
    fn what_is_not_a_line_is_refused_with_what_is_wrong() {
        for bad in [
            "",
            "{}",
            r#"{"at_us":1,"event":"nothing"}"#,
            r#"{"at_us":-1,"event":{"roamed":{"region":"x"}}}"#,
        ] {
            assert!(Line::read(bad).is_err(), "{bad}");
        }
        let bad_id = r#"{"at_us":1,"event":{"stable":{"conversation":"c1","message":"x"}}}"#;
        assert!(Line::read(bad_id).unwrap_err().to_string().contains("`c1` is not a conversation id"));
    }
}
