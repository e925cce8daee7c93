//! What a client says, as a line of its history: the same for the clients of a replay and for those of a simulated world.
//!
//! What must always hold: a line says what the client said and nothing else. What concerns connections and lists alone has no line; nor has a
//! command that needed nothing to be done, for it has no place. Of what became of messages histories say how they look then, by a digest.

use crate::history::{Author, Event, Identity, Own, Place, Tick, look};
use bytes::Bytes;
use gateway_client::{Became, Content, Event as Said};

/// The line of what was said, if it has one. What is acknowledged or stable may be any command; histories are of messages, so whoever keeps one leaves
/// out what was not posted.
#[must_use]
pub fn note_event(said: Said) -> Option<Event> {
    Some(match said {
        Said::SignedIn { placement, region } => Event::SignedIn { region, placement },
        Said::SignedOut { placement, .. } => Event::SignedOut { placement },
        Said::ServedAtHome { placement } => Event::SignedOut { placement: Some(placement) },
        Said::Shown { conversation, item, marked } => {
            let (sender, message, place) = (item.sender, item.message, place(item.place));
            match item.content {
                Content::Post { .. } => Event::Shown { conversation, sender, message, place, marked },
                Content::Created { members, .. } => Event::Created { conversation, members },
                Content::Added { user, since } => Event::Added { conversation, user, since },
                Content::Left => Event::Left { conversation, user: sender },
                Content::Removed { user } => Event::Left { conversation, user },
                Content::Edited { .. }
                | Content::Deleted { .. }
                | Content::Withheld { .. }
                | Content::Reacted { .. }
                | Content::Withdrawn { .. }
                | Content::Promoted { .. }
                | Content::Demoted { .. }
                | Content::Claimed
                | Content::Rights
                | Content::DocumentChanged { .. } => return None,
            }
        }
        Said::Moved { conversation, sender, message, to, .. } => {
            Event::Moved { conversation, sender, message, place: place(to) }
        }
        Said::Repeated { conversation, sender, message, place: at } => {
            Event::Repeated { conversation, sender, message, place: place(at) }
        }
        Said::AddedAgain { conversation, user, since } => Event::Added { conversation, user, since },
        Said::MarkCleared { conversation, sender, message } => {
            Event::MarkCleared(Identity { conversation, sender, message })
        }
        Said::Acknowledged { conversation, command: message, place: Some(at) } => {
            Event::Acknowledged { conversation, message, place: place(at) }
        }
        Said::Stable { conversation, command: message } => Event::Stable(Own { conversation, message }),
        Said::Delivered { conversation, message, user, device } => {
            Event::Delivered(Tick { conversation, message, user, device })
        }
        Said::Read { conversation, message, user, device } => {
            Event::Read(Tick { conversation, message, user, device })
        }
        Said::Refused { command: message, code, .. } => Event::Refused { code, message },
        Said::Paged { conversation, items, .. } => {
            let messages = items.into_iter().filter_map(|item| match item.content {
                Content::Post { body, became, .. } => {
                    let edited = Some(&body).filter(|_| became.edited.is_some());
                    Some(Author { sender: item.sender, message: item.message, look: looks(edited, &became) })
                }
                _ => None,
            });
            Event::Displayed { conversation, messages: messages.collect() }
        }
        Said::Amended { conversation, sender, message, body, became } => {
            Event::Looks { conversation, sender, message, look: looks(body.as_ref(), &became) }
        }
        Said::Hidden { conversation, sender, message } => {
            Event::Hidden(Identity { conversation, sender, message })
        }
        // Nobody may be left to be shown the operation.
        Said::Membership { conversation, user, member: false } => Event::Left { conversation, user },
        Said::Acknowledged { place: None, .. }
        | Said::Redirected { .. }
        | Said::CaughtUp { .. }
        | Said::Membership { member: true, .. }
        | Said::Documented { .. }
        | Said::Listed { .. } => return None,
    })
}

fn looks(edited: Option<&Bytes>, became: &Became) -> Option<String> {
    let reactions = became.reactions.iter().map(|reaction| (reaction.emoji.as_str(), reaction.count));
    look(became.deleted, edited.map(|body| &body[..]), reactions)
}

fn place(place: gateway_client::Place) -> Place {
    Place { hlc: place.hlc, dot: place.dot }
}
