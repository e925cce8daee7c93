//! Between the wire's strings and the ids they stand for: total, and naming the field.
//!
//! What must always hold: a text that is not the canonical form of its id is refused, together with the name of the field it stood in;
//! a cut has one encoding (dots strictly sorted by replica); an absent field is not an empty id.

use crate::v1;
use crdt::emoji::{Emoji, NotAnEmoji};
use crdt::id::ParseIdError;
use crdt::{Cut, Dot, MessageId, Timestamp, UserId};
use std::str::FromStr;

/// A field that does not hold what it must. Nothing was changed; the same frame can be sent again once it is mended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not an id.
    #[error("field `{field}`: {source}")]
    Id {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        source: ParseIdError,
    },
    /// Nothing where something must be.
    #[error("field `{0}` is missing: fill it in")]
    Missing(&'static str),
    /// A cut whose dots are not strictly sorted by replica.
    #[error("field `{0}` is not a cut: its dots must be sorted by replica, one a replica")]
    Unsorted(&'static str),
    /// Two fields of which only one may be filled.
    #[error("fields `{0}` and `{1}` exclude each other: fill one")]
    Contradiction(&'static str, &'static str),
    /// Not one emoji.
    #[error("field `{field}`: {source}: send one, as a keyboard gives it")]
    Emoji {
        /// Which field.
        field: &'static str,
        /// What it should be.
        source: NotAnEmoji,
    },
    /// More entries than the field may have.
    #[error("field `{field}` has {count} entries, the limit is {limit}: split the frame")]
    TooMany {
        /// Which field.
        field: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl FieldError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Id { .. } => "malformed_id",
            Self::Missing(_) => "missing_field",
            Self::Unsorted(_) => "malformed_cut",
            Self::Contradiction(..) => "contradictory_fields",
            Self::Emoji { .. } => "not_an_emoji",
            Self::TooMany { .. } => "too_many_entries",
        }
    }
}

/// Reads an id, of whichever type the caller expects.
///
/// # Errors
/// [`FieldError::Missing`] when it is empty, [`FieldError::Id`] when it is not the one textual form.
pub fn id<T: FromStr<Err = ParseIdError>>(field: &'static str, text: &str) -> Result<T, FieldError> {
    if text.is_empty() {
        return Err(FieldError::Missing(field));
    }
    text.parse().map_err(|source| FieldError::Id { field, source })
}

/// Reads an id that may be absent.
///
/// # Errors
/// [`FieldError::Id`] when it is there and is not the one textual form.
pub fn optional_id<T: FromStr<Err = ParseIdError>>(
    field: &'static str,
    text: &str,
) -> Result<Option<T>, FieldError> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// Reads a list of at most `limit` ids.
///
/// # Errors
/// [`FieldError`] naming the field and the first entry that is not an id.
pub fn ids<T: FromStr<Err = ParseIdError>>(
    field: &'static str,
    texts: &[String],
    limit: usize,
) -> Result<Vec<T>, FieldError> {
    if texts.len() > limit {
        return Err(FieldError::TooMany { field, count: texts.len(), limit });
    }
    texts.iter().map(|text| id(field, text)).collect()
}

/// Reads a cut.
///
/// # Errors
/// [`FieldError`] when a dot is malformed or the dots are not strictly sorted by replica.
pub fn cut(field: &'static str, cut: &v1::Cut) -> Result<Cut, FieldError> {
    let dots: Vec<Dot> = ids(field, &cut.dots, usize::MAX)?;
    if dots.is_sorted_by(|one, next| one.replica < next.replica) {
        Ok(dots.into_iter().collect())
    } else {
        Err(FieldError::Unsorted(field))
    }
}

/// Writes a cut.
#[must_use]
pub fn write_cut(cut: &Cut) -> v1::Cut {
    v1::Cut { dots: cut.iter().map(|dot| dot.to_string()).collect() }
}

/// Reads a place in the display order.
///
/// # Errors
/// [`FieldError`] naming the part of it that is malformed.
pub fn place(place: &v1::Place) -> Result<(Timestamp, Dot), FieldError> {
    Ok((id("hlc", &place.hlc)?, id("dot", &place.dot)?))
}

/// Writes a place in the display order.
#[must_use]
pub fn write_place(hlc: Timestamp, dot: Dot) -> v1::Place {
    v1::Place { hlc: hlc.to_string(), dot: dot.to_string() }
}

/// Reads the sender and id of a message.
///
/// # Errors
/// [`FieldError`] naming the part of it that is malformed.
pub fn message_ref(message: &v1::MessageRef) -> Result<(UserId, MessageId), FieldError> {
    Ok((id("sender", &message.sender)?, id("message", &message.message)?))
}

/// Reads the message that a frame is about.
///
/// # Errors
/// [`FieldError`] when it is absent, or a part of it is malformed.
pub fn target(target: Option<&v1::MessageRef>) -> Result<(UserId, MessageId), FieldError> {
    message_ref(target.ok_or(FieldError::Missing("target"))?)
}

/// Reads an emoji.
///
/// # Errors
/// [`FieldError::Emoji`] when it is not exactly one.
pub fn emoji(field: &'static str, text: &str) -> Result<Emoji, FieldError> {
    text.parse().map_err(|source| FieldError::Emoji { field, source })
}

/// Writes the sender and id of a message.
#[must_use]
pub fn write_message_ref((sender, message): (UserId, MessageId)) -> v1::MessageRef {
    v1::MessageRef { sender: sender.to_string(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn arbitrary_dot() -> impl Strategy<Value = Dot> {
        (0u16..4, 0u64..3, 1u64..1_000_000).prop_map(|(region, incarnation, sequence)| Dot {
            replica: crdt::ReplicaId {
                region: crdt::RegionId(region),
                incarnation: crdt::Incarnation(incarnation),
            },
            sequence: crdt::Sequence(sequence),
        })
    }

    proptest! {
        #[test]
        fn a_cut_is_read_back_as_written(dots in proptest::collection::vec(arbitrary_dot(), 0..8)) {
            let written: Cut = dots.into_iter().collect();
            prop_assert_eq!(cut("seen", &write_cut(&written)).unwrap(), written);
        }

        #[test]
        fn a_place_is_read_back_as_written(hlc in any::<u64>(), dot in arbitrary_dot()) {
            prop_assert_eq!(place(&write_place(Timestamp(hlc), dot)).unwrap(), (Timestamp(hlc), dot));
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,80}") {
            let _ = id::<crdt::ConversationId>("conversation", &text);
            let _ = id::<Dot>("dot", &text);
            let _ = id::<MessageId>("message", &text);
            let _ = id::<Timestamp>("hlc", &text);
        }
    }

    #[test]
    fn a_refused_field_is_named_with_the_form_it_should_have() {
        let errors = [
            id::<UserId>("user", "bob").unwrap_err(),
            id::<UserId>("user", "").unwrap_err(),
            cut(
                "since",
                &v1::Cut { dots: vec!["r2.0000000000000001:1".into(), "r1.0000000000000001:1".into()] },
            )
            .unwrap_err(),
            ids::<UserId>("members", &vec![String::new(); 3], 2).unwrap_err(),
        ];
        let text: Vec<String> = errors.iter().map(|error| format!("{}: {error}", error.code())).collect();
        expect![[r#"
            malformed_id: field `user`: `bob` is not a user id: it has the form `u0001000000000abc`
            missing_field: field `user` is missing: fill it in
            malformed_cut: field `since` is not a cut: its dots must be sorted by replica, one a replica
            too_many_entries: field `members` has 3 entries, the limit is 2: split the frame"#]]
        .assert_eq(&text.join("\n"));
    }
}
