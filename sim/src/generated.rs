//! Conversations that nobody had, with the statistics of conversations that people had.
//!
//! Measured on ten logs of a public support channel (2004-2016; 12,500 lines, 11,644 of them spoken messages; links on 2,327):
//! - messages a minute over a log: 1.1 to 6.3, median 5.2; in a minute with any message 1, 4, 16 (10th, 50th, 99th percentile);
//! - bytes a message: 8, 20, 41, 72, 120, 264, 465 (10th, 25th, 50th, 75th, 90th, 99th percentile, largest);
//! - 87 % of messages answer something, 5 % of those more than one message; 26 % of links go to the author's own message;
//! - lines from answer to answered: 1, 1, 3, 6, 12, 115, 739 (same percentiles);
//! - threads among 20 consecutive messages: 3, 5, 8, 11 (10th, 50th, 90th, 99th percentile);
//! - messages a person: 1, 2, 4, 10, 22, 78, 177 (same percentiles as above), so 8 to 16 people speak per 100 messages;
//! - per 100 messages 4.3 people join and 2.3 change their name.
//!
//! What must always hold: the same settings and dice give the same log; every link goes to an earlier message. Integer arithmetic alone:
//! quantities are drawn from the percentiles above, evenly between two of them.

use crate::conversation_log::{ConversationLog, Entry, Event};
use rand_core::RngCore;
use std::collections::BTreeMap;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedSettings {
    /// The log's name.
    pub name: String,
    /// How many messages.
    pub messages: usize,
    /// How many people speak in it; at least one.
    pub people: usize,
}

/// Percentiles 0, 10, 25, 50, 75, 90, 99, 100 of a quantity.
struct Quantiles([u64; 8]);

const PER_MILLE: [u64; 8] = [0, 100, 250, 500, 750, 900, 990, 1_000];
const BYTES: Quantiles = Quantiles([1, 8, 20, 41, 72, 120, 264, 465]);
const DISTANCE: Quantiles = Quantiles([1, 1, 1, 3, 6, 12, 115, 739]);
const MESSAGES_OF_A_PERSON: Quantiles = Quantiles([1, 1, 2, 4, 10, 22, 78, 177]);

const ANSWERING_PER_MILLE: u64 = 873;
const SECOND_LINK_PER_MILLE: u64 = 52;
const OWN_LINK_PER_MILLE: u64 = 265;
const MESSAGES_A_MINUTE: u64 = 5;
/// Of those who speak, so many come later: 4.3 joinings for 100 messages of which about a third ever speak.
const JOINING_PER_MILLE: u64 = 150;
/// Messages that a change of name follows.
const RENAMING_PER_MILLE: u64 = 23;

const WORDS: [&str; 24] = [
    "anybody", "which", "kernel", "try", "it", "works", "here", "again", "the", "module", "sound", "reboot",
    "thanks", "no", "idea", "what", "version", "did", "you", "install", "look", "at", "log", "please",
];

/// Generates a log.
#[must_use]
pub fn generate(settings: &GeneratedSettings, entropy: &mut dyn RngCore) -> ConversationLog {
    let mut channel = Channel::new(settings.people.max(1), entropy);
    let mut log = ConversationLog { name: settings.name.clone(), ..ConversationLog::default() };
    // The line and author of each message so far.
    let mut said: Vec<(usize, usize)> = vec![];
    let mut minute = 0;
    while said.len() < settings.messages {
        if !said.is_empty() && below(MESSAGES_A_MINUTE, entropy) == 0 {
            minute += 1;
        }
        let answered = answered_messages(&said, entropy);
        let author = channel.author(answered.first().map(|index| said[*index].1), entropy);
        if channel.comes_now(author, &said) {
            log.entries.push(Entry { minute, nick: channel.nick(author), event: Event::Joined });
        }
        let line = log.entries.len();
        let mut answers: Vec<usize> = answered.iter().map(|index| said[*index].0).collect();
        answers.sort_unstable();
        if !answers.is_empty() {
            log.answers.insert(line, answers);
        }
        let event = Event::Said(text(BYTES.draw(entropy) as usize, entropy));
        log.entries.push(Entry { minute, nick: channel.nick(author), event });
        said.push((line, author));
        if per_mille(RENAMING_PER_MILLE, entropy) {
            let nick = channel.nick(author);
            log.entries.push(Entry { minute, nick, event: Event::Renamed(channel.rename(author)) });
        }
    }
    log
}

/// Indexes into what was said.
fn answered_messages(said: &[(usize, usize)], entropy: &mut dyn RngCore) -> Vec<usize> {
    let mut answered = vec![];
    if !said.is_empty() && per_mille(ANSWERING_PER_MILLE, entropy) {
        let back = |entropy: &mut dyn RngCore| (DISTANCE.draw(entropy) as usize).clamp(1, said.len());
        answered.push(said.len() - back(entropy));
        if per_mille(SECOND_LINK_PER_MILLE, entropy) {
            let second = said.len() - back(entropy);
            if !answered.contains(&second) {
                answered.push(second);
            }
        }
    }
    answered
}

struct Channel {
    /// How much each person says, as running sums.
    shares: Vec<u64>,
    renames: Vec<usize>,
    joins_late: Vec<bool>,
    /// Who was in the exchange that an author last took part in.
    partners: BTreeMap<usize, usize>,
}

impl Channel {
    fn new(people: usize, entropy: &mut dyn RngCore) -> Self {
        let mut sum = 0;
        let mut share = |_| {
            sum += MESSAGES_OF_A_PERSON.draw(entropy);
            sum
        };
        let shares: Vec<u64> = (0..people).map(&mut share).collect();
        let joins_late = (0..people).map(|_| per_mille(JOINING_PER_MILLE, entropy)).collect();
        Self { shares, renames: vec![0; people], joins_late, partners: BTreeMap::new() }
    }

    /// Who answers what `answered_author` said: themselves, whom they were talking with, or anybody.
    fn author(&mut self, answered_author: Option<usize>, entropy: &mut dyn RngCore) -> usize {
        let anybody = self.anybody(entropy);
        let Some(answered) = answered_author else { return anybody };
        if per_mille(OWN_LINK_PER_MILLE, entropy) {
            return answered;
        }
        let partner = self.partners.get(&answered).copied();
        let author = if per_mille(600, entropy) { partner.unwrap_or(anybody) } else { anybody };
        if author != answered {
            self.partners.insert(author, answered);
            self.partners.insert(answered, author);
        }
        author
    }

    fn anybody(&self, entropy: &mut dyn RngCore) -> usize {
        // There is at least one person, who says at least one thing.
        let total = self.shares.last().copied().unwrap_or(1);
        let point = below(total, entropy);
        self.shares.partition_point(|share| *share <= point)
    }

    /// Whether the author, who comes late, has not been there before.
    fn comes_now(&self, author: usize, said: &[(usize, usize)]) -> bool {
        self.joins_late[author] && !said.is_empty() && !said.iter().any(|(_, other)| *other == author)
    }

    fn nick(&self, person: usize) -> String {
        match self.renames[person] {
            0 => format!("islander{person}"),
            times => format!("islander{person}_{times}"),
        }
    }

    fn rename(&mut self, person: usize) -> String {
        self.renames[person] += 1;
        self.nick(person)
    }
}

impl Quantiles {
    fn draw(&self, entropy: &mut dyn RngCore) -> u64 {
        let point = below(1_000, entropy);
        let upper = PER_MILLE.partition_point(|mark| *mark <= point).clamp(1, PER_MILLE.len() - 1);
        let (from, to) = (PER_MILLE[upper - 1], PER_MILLE[upper]);
        let (low, high) = (self.0[upper - 1], self.0[upper]);
        low + (high - low) * (point - from) / (to - from)
    }
}

fn text(bytes: usize, entropy: &mut dyn RngCore) -> String {
    let mut text = String::with_capacity(bytes + 8);
    while text.len() < bytes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(WORDS[below(WORDS.len() as u64, entropy) as usize]);
    }
    text.truncate(bytes);
    text
}

fn per_mille(chance: u64, entropy: &mut dyn RngCore) -> bool {
    below(1_000, entropy) < chance
}

/// A number below `limit`, which is at least 1.
fn below(limit: u64, entropy: &mut dyn RngCore) -> u64 {
    ((u128::from(entropy.next_u64()) * u128::from(limit)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn generated(seed: u64) -> ConversationLog {
        let settings = GeneratedSettings { name: "generated".to_owned(), messages: 1_200, people: 120 };
        generate(&settings, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    fn percentile(values: &mut [u64], per_cent: usize) -> u64 {
        values.sort_unstable();
        values[values.len() * per_cent / 100]
    }

    #[test]
    fn the_same_dice_give_the_same_log_and_others_another() {
        assert_eq!(generated(1), generated(1));
        assert_ne!(generated(1), generated(2));
    }

    #[test]
    fn its_statistics_are_those_that_were_measured() {
        let log = generated(1);
        let texts = log.entries.iter().filter_map(|entry| entry.event.text());
        let mut bytes: Vec<u64> = texts.map(|text| text.len() as u64).collect();
        assert_eq!(bytes.len(), 1_200);
        assert!((35..=47).contains(&percentile(&mut bytes, 50)));
        assert!((100..=140).contains(&percentile(&mut bytes, 90)));
        let links =
            log.answers.iter().flat_map(|(line, answers)| answers.iter().map(move |a| (line - a) as u64));
        let mut distances: Vec<u64> = links.collect();
        assert!((2..=4).contains(&percentile(&mut distances, 50)));
        assert!((10..=16).contains(&percentile(&mut distances, 90)));
        assert!((800..=930).contains(&(log.answers.len() * 1_000 / 1_200)));
        let minutes = u64::from(log.entries.last().map_or(0, |entry| entry.minute)) + 1;
        assert!((4..=6).contains(&(1_200 / minutes)));
        let joins = log.entries.iter().filter(|entry| entry.event == Event::Joined).count();
        assert!((5..=35).contains(&joins), "{joins}");
        let mut threads = threads_at_once(&log);
        assert!((4..=6).contains(&percentile(&mut threads, 50)), "{}", percentile(&mut threads, 50));
        assert!(percentile(&mut threads, 90) <= 10);
    }

    /// Threads among each 20 consecutive messages.
    fn threads_at_once(log: &ConversationLog) -> Vec<u64> {
        let mut thread_of: BTreeMap<usize, usize> = BTreeMap::new();
        let mut threads = vec![];
        for (line, entry) in log.entries.iter().enumerate() {
            if entry.event.text().is_none() {
                continue;
            }
            let answers = log.answers.get(&line).map_or(&[][..], Vec::as_slice);
            let joined: Vec<usize> =
                answers.iter().filter_map(|answered| thread_of.get(answered)).copied().collect();
            let thread = joined.first().copied().unwrap_or(line);
            thread_of.values_mut().filter(|other| joined.contains(other)).for_each(|other| *other = thread);
            thread_of.insert(line, thread);
            threads.push(line);
        }
        let at_once = threads.windows(20).map(|lines| {
            let threads: std::collections::BTreeSet<usize> =
                lines.iter().map(|line| thread_of[line]).collect();
            threads.len() as u64
        });
        at_once.collect()
    }
}
