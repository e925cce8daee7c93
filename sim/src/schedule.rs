//! From logs to a plan: who is where, what is said when, and what each must have read before.
//!
//! The rules:
//! - A nick is a user of its log, through all its renames; a name that is taken over belongs to whoever took it. Homes go round the regions
//!   by first appearance.
//! - Who appears without having joined is a member from the start; who joins first is added then, by the creator: the
//!   first who was there from the start. Parting is not leaving: in these channels people come back.
//! - Times of day are scaled to the duration; lines of one minute are spread over it evenly.
//! - Whoever answers waits until their own client has been shown what they answer. A message that is answered by somebody who
//!   joined before it waits until its author has been shown the joining: else the newcomer might never be shown it.
//! - People correct themselves, thank, and take back: `s/this/that` and `*word` edit their author's last message, beside being said; an answer that says thanks is also a reaction
//!   to what it answers, and whoever is thanked takes the thanks out of their own view; `never mind` deletes its author's last message, if nobody answers it.
//! - Who has answered many is made an admin by the creator, and is none any more when they part or, where there are three, when a fourth has.
//! - A link to a line that nobody said, or from before the answerer joined, is dropped: there is nothing to be shown.

use crate::conversation_log::{ConversationLog, Entry, Event};
use crate::limits::MEMBERS_MAX;
use crate::plan::{
    Act, Amendment, Need, Pin, Plan, PlannedConversation, PlannedUser, Step, StepNumber, UserNumber,
};
use std::collections::{BTreeMap, VecDeque};

/// How a log becomes a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// How long the log is to last, in milliseconds.
    pub duration_ms: u64,
    /// The homes that its people are given in turn: indexes into the replay's regions. At least one.
    pub homes: Vec<usize>,
    /// Where the conversation may lie.
    pub pin: Pin,
}

/// Why a log cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// More people than a group may have.
    #[error("{people} people take part in {log}, a group has at most {MEMBERS_MAX}: cut the log")]
    TooManyPeople {
        /// The log.
        log: String,
        /// How many.
        people: usize,
    },
}

/// Plans one log.
///
/// # Errors
/// [`ScheduleError`] when it cannot be played.
pub fn schedule(log: &ConversationLog, settings: &ScheduleSettings) -> Result<Plan, ScheduleError> {
    let people = People::of(log, settings);
    if people.users.len() > MEMBERS_MAX {
        return Err(ScheduleError::TooManyPeople { log: log.name.clone(), people: people.users.len() });
    }
    let mut steps = Steps::default();
    let times = times_ms(&log.entries, settings.duration_ms);
    for (line, entry) in log.entries.iter().enumerate() {
        let user = people.of_line[line];
        match &entry.event {
            Event::Said(text) | Event::Acted(text) => {
                let before = steps.last.get(&user).cloned();
                steps.post(log, line, &people, times[line], text);
                steps.amend(log, line, user, (before, times[line]), text);
                steps.thank(&people, user, times[line]);
            }
            Event::Left => steps.step_down(&people, user, times[line]),
            Event::Joined if people.joined_at[user] == Some(line) => steps.add(&people, user, times[line]),
            Event::Joined | Event::Renamed(_) => {}
        }
    }
    steps.let_authors_see_who_joined();
    let (added, members) = (0..people.users.len()).partition(|user| people.joined_at[*user].is_some());
    let conversation = PlannedConversation {
        name: log.name.clone(),
        pin: settings.pin,
        creator: people.creator,
        members,
        added,
    };
    Ok(Plan {
        duration_ms: settings.duration_ms,
        users: people.users,
        conversations: vec![conversation],
        steps: steps.steps,
    })
}

/// Who is who in a log.
struct People {
    users: Vec<PlannedUser>,
    /// The user who acts in each line.
    of_line: Vec<UserNumber>,
    /// For each user the line at which they first came, unless they were there from the start.
    joined_at: Vec<Option<usize>>,
    creator: UserNumber,
}

impl People {
    fn of(log: &ConversationLog, settings: &ScheduleSettings) -> Self {
        let mut people = Self { users: vec![], of_line: vec![], joined_at: vec![], creator: 0 };
        let mut known: BTreeMap<&str, UserNumber> = BTreeMap::new();
        for (line, entry) in log.entries.iter().enumerate() {
            let user = *known.entry(&entry.nick).or_insert_with(|| {
                let number = people.users.len();
                people.users.push(PlannedUser {
                    name: format!("{}/{}", log.name, entry.nick),
                    home: settings.homes[number % settings.homes.len()],
                    pin: settings.pin,
                });
                people.joined_at.push((entry.event == Event::Joined).then_some(line));
                number
            });
            if let Event::Renamed(name) = &entry.event {
                known.insert(name, user);
            }
            people.of_line.push(user);
        }
        // If everybody joined, the first to come was there: somebody has to open the door.
        let there = people.joined_at.iter().position(Option::is_none);
        people.creator = there.unwrap_or(0);
        if let Some(joined_at) = people.joined_at.get_mut(people.creator) {
            *joined_at = None;
        }
        people
    }
}

#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    of_line: BTreeMap<usize, StepNumber>,
    /// Added users with the step that adds them.
    adds: BTreeMap<UserNumber, StepNumber>,
    /// Each user's last message: its line, its step and its text.
    last: BTreeMap<UserNumber, (usize, StepNumber, String)>,
    /// How many messages of others each has answered.
    answered: BTreeMap<UserNumber, usize>,
    /// Who is an admin beside the creator, the first made first.
    admins: VecDeque<UserNumber>,
}

/// Answers to others after which somebody is made an admin, and how many are at a time.
const ANSWERS_OF_AN_ADMIN: usize = 10;
const ADMINS_MAX: usize = 3;

/// What an answer begins with that is a reaction to what it answers, and which.
const REACTIONS: [(&str, &str); 8] = [
    ("thank", "\u{1f44d}"),
    ("thx", "\u{1f44d}"),
    ("ty", "\u{1f44d}"),
    ("ok", "\u{1f44c}"),
    ("lol", "\u{1f602}"),
    ("heh", "\u{1f602}"),
    (":)", "\u{1f642}"),
    ("+1", "\u{1f44d}"),
];

impl Steps {
    fn post(&mut self, log: &ConversationLog, line: usize, people: &People, at_ms: u64, text: &str) {
        let user = people.of_line[line];
        let came_at = people.joined_at[user].unwrap_or(0);
        let linked = log.answers.get(&line).map_or(&[][..], Vec::as_slice);
        let answered: Vec<StepNumber> = linked
            .iter()
            .filter(|answered| **answered >= came_at)
            .filter_map(|answered| self.of_line.get(answered).copied())
            .collect();
        let mut needs: Vec<Need> = answered.iter().map(|step| Need::Message(*step)).collect();
        needs.extend(self.adds.contains_key(&user).then_some(Need::Added(user)));
        self.of_line.insert(line, self.steps.len());
        let act = Act::Post { text: text.to_owned(), answers: answered.last().copied() };
        self.steps.push(Step { at_ms, conversation: 0, user, act, needs });
    }

    /// What a message does to others, beside being said.
    fn amend(
        &mut self,
        log: &ConversationLog,
        line: usize,
        user: UserNumber,
        (before, at_ms): (Option<(usize, StepNumber, String)>, u64),
        text: &str,
    ) {
        let Some(number) = self.of_line.get(&line).copied() else { return };
        self.last.insert(user, (line, number, text.to_owned()));
        // Whoever is spoken to is named first.
        let said = text.split_once(": ").map_or(text, |(_, said)| said).trim().to_lowercase();
        if let Act::Post { answers: Some(answered), .. } = self.steps[number].act
            && self.steps[answered].user != user
            && let Some((_, emoji)) = REACTIONS.iter().find(|(word, _)| begins_with(&said, word))
        {
            let thanked = self.steps[answered].user;
            self.do_to(answered, user, at_ms, Amendment::React((*emoji).to_owned()));
            self.do_to(number, thanked, at_ms, Amendment::Hide);
        }
        let Some((said_in, of, was)) = before else { return };
        if let Some(corrected) = corrected(&was, text.trim()) {
            self.do_to(of, user, at_ms, Amendment::Edit(corrected));
        } else if ["nvm", "nevermind", "never mind"].iter().any(|word| begins_with(&said, word))
            && !log.answers.values().flatten().any(|answered| *answered == said_in)
        {
            self.do_to(of, user, at_ms, Amendment::Delete);
        }
    }

    fn do_to(&mut self, of: StepNumber, user: UserNumber, at_ms: u64, how: Amendment) {
        let act = Act::Amend { of, how };
        self.steps.push(Step { at_ms, conversation: 0, user, act, needs: vec![Need::Message(of)] });
    }

    /// Who has answered many is made an admin; where there are as many as may be, the first of them makes way.
    fn thank(&mut self, people: &People, user: UserNumber, at_ms: u64) {
        let Some((_, number, _)) = self.last.get(&user) else { return };
        let Act::Post { answers: Some(answered), .. } = self.steps[*number].act else { return };
        if self.steps[answered].user == user || user == people.creator {
            return;
        }
        let answered = self.answered.entry(user).or_default();
        *answered += 1;
        if *answered == ANSWERS_OF_AN_ADMIN {
            if self.admins.len() == ADMINS_MAX
                && let Some(first) = self.admins.pop_front()
            {
                self.govern(people, Act::Demote(first), at_ms);
            }
            self.admins.push_back(user);
            self.govern(people, Act::Promote(user), at_ms);
        }
    }

    /// An admin who parts is none any more.
    fn step_down(&mut self, people: &People, user: UserNumber, at_ms: u64) {
        if self.admins.contains(&user) {
            self.admins.retain(|admin| *admin != user);
            self.govern(people, Act::Demote(user), at_ms);
        }
    }

    fn govern(&mut self, people: &People, act: Act, at_ms: u64) {
        self.steps.push(Step { at_ms, conversation: 0, user: people.creator, act, needs: vec![] });
    }

    fn add(&mut self, people: &People, user: UserNumber, at_ms: u64) {
        self.adds.insert(user, self.steps.len());
        let act = Act::Add(user);
        self.steps.push(Step { at_ms, conversation: 0, user: people.creator, act, needs: vec![] });
    }

    /// Whatever a newcomer answers must come after their joining, or they may not be shown it. An author who joined after the
    /// newcomer is never shown that joining, and need not be: the creator did the one after the other.
    fn let_authors_see_who_joined(&mut self) {
        let mut wanted: Vec<(StepNumber, UserNumber)> = vec![];
        for step in &self.steps {
            if self.adds.contains_key(&step.user) {
                wanted.extend(step.needs.iter().filter_map(|need| match need {
                    Need::Message(answered) => Some((*answered, step.user)),
                    Need::Added(_) => None,
                }));
            }
        }
        for (answered, newcomer) in wanted {
            let need = Need::Added(newcomer);
            let author_joined = self.adds.get(&self.steps[answered].user);
            if author_joined > self.adds.get(&newcomer) {
                continue;
            }
            if !self.steps[answered].needs.contains(&need) {
                self.steps[answered].needs.push(need);
            }
        }
    }
}

/// Whether a text begins with that word.
fn begins_with(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() && word != "thank"))
}

/// How a message reads once its author has corrected it; none if that is no correction of it.
fn corrected(was: &str, said: &str) -> Option<String> {
    if let Some(rest) = said.strip_prefix("s/") {
        let (wrong, right) = rest.trim_end_matches('/').split_once('/')?;
        return (!wrong.is_empty() && was.contains(wrong)).then(|| was.replacen(wrong, right, 1));
    }
    let word = said.strip_prefix('*').or_else(|| said.strip_suffix('*'))?;
    let is_word = !word.is_empty() && word.chars().all(char::is_alphanumeric);
    is_word.then(|| format!("{was} (*{word})"))
}

/// When each line happens: minutes scaled to the duration, lines of a minute spread over it.
fn times_ms(entries: &[Entry], duration_ms: u64) -> Vec<u64> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for entry in entries {
        *counts.entry(entry.minute).or_default() += 1;
    }
    let minutes = entries.last().map_or(1, |entry| u64::from(entry.minute) + 1);
    let mut nth: BTreeMap<u32, u64> = BTreeMap::new();
    let mut time = |entry: &Entry| {
        let nth = nth.entry(entry.minute).or_default();
        // Microseconds of the log's own time, at most 60 million a minute and as many minutes as a u32 holds: fits easily.
        let within_us = 60_000_000 * *nth / counts.get(&entry.minute).copied().unwrap_or(1);
        *nth += 1;
        let log_us = u128::from(u64::from(entry.minute) * 60_000_000 + within_us);
        (log_us * u128::from(duration_ms) / (u128::from(minutes) * 60_000_000)) as u64
    };
    entries.iter().map(&mut time).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RAW: &str = "\
[10:00] <ann> does anybody have a map?
=== bob  has joined #islands
[10:00] <cy> which island?
[10:01] <bob> cy: ask ann
=== bob is now known as rob
[10:01] <ann> the small one
[10:03] <rob> ann: here
";

    fn plan(raw: &str, links: &str, duration_ms: u64) -> Plan {
        let log = ConversationLog::parse("islands", "raw", raw, "links", links).unwrap();
        let plan = schedule(&log, &ScheduleSettings { duration_ms, homes: vec![0, 1], pin: Pin::Everywhere });
        let plan = plan.unwrap();
        assert!(plan.is_sound(), "{plan:#?}");
        plan
    }

    #[test]
    fn a_nick_is_one_user_through_renames_and_homes_go_round() {
        let plan = plan(RAW, "", 4_000);
        let users: Vec<_> = plan.users.iter().map(|user| (user.name.as_str(), user.home)).collect();
        assert_eq!(users, [("islands/ann", 0), ("islands/bob", 1), ("islands/cy", 0)]);
        let conversation = &plan.conversations[0];
        assert_eq!((conversation.creator, &conversation.members[..]), (0, &[0, 2][..]));
        assert_eq!(conversation.added, [1]);
        assert_eq!(plan.steps[1].act, Act::Add(1));
        assert_eq!(plan.steps[1].user, 0, "the creator adds who joins");
        assert_eq!(plan.messages(), 5);
    }

    #[test]
    fn times_are_scaled_and_lines_of_a_minute_spread() {
        let times: Vec<u64> = plan(RAW, "", 4_000).steps.iter().map(|step| step.at_ms).collect();
        // Three lines in minute 0, three in minute 1 (the rename is no step), one in minute 3.
        assert_eq!(times, [0, 333, 666, 1_000, 1_666, 3_000]);
    }

    #[test]
    fn an_answer_waits_for_what_it_answers_and_that_for_the_newcomer_to_be_known() {
        let plan = plan(RAW, "0 2 -\n2 3 -\n5 6 -\n", 4_000);
        let needs = |step: usize| plan.steps[step].needs.clone();
        assert_eq!(needs(2), [Need::Message(0), Need::Added(1)], "cy asks; bob, who joined, will answer");
        assert_eq!(needs(3), [Need::Message(2), Need::Added(1)], "a newcomer needs to be a member");
        assert_eq!(needs(4), [Need::Added(1)]);
        assert_eq!(needs(5), [Need::Message(4), Need::Added(1)]);
        assert!(matches!(plan.steps[5].act, Act::Post { answers: Some(4), .. }));
    }

    #[test]
    fn links_to_what_nobody_said_or_the_answerer_cannot_have_seen_are_dropped() {
        let plan = plan(RAW, "0 3 -\n1 2 -\n", 4_000);
        assert!(plan.steps[2].needs.is_empty(), "line 1 is a joining");
        assert_eq!(plan.steps[3].needs, [Need::Added(1)], "bob joined after line 0");
    }

    #[test]
    fn an_author_who_joined_after_a_newcomer_is_not_asked_to_have_seen_that_joining() {
        let raw = "\
[10:00] <ann> hello
=== bob  has joined #islands
=== cy  has joined #islands
[10:01] <cy> where is everybody?
[10:02] <bob> cy: here
[10:03] <cy> bob: good
";
        let plan = plan(raw, "3 4 -\n4 5 -\n", 4_000);
        let (bob, cy) = (1, 2);
        assert_eq!(plan.steps[3].needs, [Need::Added(cy)], "bob joined before cy, who is not shown it");
        assert_eq!(plan.steps[4].needs, [Need::Message(3), Need::Added(bob), Need::Added(cy)]);
    }

    #[test]
    fn if_everybody_joins_the_first_was_there() {
        let plan =
            plan("=== ann  has joined #islands\n[10:00] <ann> hello\n=== bob  has joined #islands\n", "", 10);
        assert_eq!((plan.conversations[0].creator, &plan.conversations[0].members[..]), (0, &[0][..]));
        assert_eq!(plan.conversations[0].added, [1]);
    }

    #[test]
    fn merged_plans_keep_their_needs_whatever_the_order_of_times() {
        let mut merged = plan(RAW, "0 2 -\n2 3 -\n", 4_000);
        merged.merge(plan(RAW, "0 2 -\n2 3 -\n", 1_000));
        assert!(merged.is_sound());
        assert_eq!((merged.users.len(), merged.conversations.len(), merged.messages()), (6, 2, 10));
        assert!(merged.steps.is_sorted_by_key(|step| step.at_ms));
        for step in &merged.steps {
            for need in &step.needs {
                if let Need::Message(needed) = need {
                    assert_eq!(merged.steps[*needed].conversation, step.conversation);
                }
            }
        }
    }

    fn acts(raw: &str, links: &str) -> Vec<(UserNumber, Act)> {
        let steps = plan(raw, links, 4_000).steps.into_iter();
        let said = |act: &Act| matches!(act, Act::Post { .. } | Act::Add(_));
        steps.filter(|step| !said(&step.act)).map(|step| (step.user, step.act)).collect()
    }

    #[test]
    fn people_correct_themselves_thank_and_take_back() {
        let raw = "\
[10:00] <ann> has anybody a mop?
[10:00] <ann> s/mop/map/
[10:01] <bob> ann: here
[10:01] <ann> bob: thanks a lot
[10:02] <bob> is it the big iland?
[10:02] <bob> *island
[10:03] <bob> who is there
[10:03] <bob> nvm
[10:04] <ann> bob: thankfully
[10:04] <bob> s/no such thing/x/
";
        let edit = |of, text: &str| Act::Amend { of, how: Amendment::Edit(text.to_owned()) };
        let react = |of| Act::Amend { of, how: Amendment::React("\u{1f44d}".to_owned()) };
        let hide = |of| Act::Amend { of, how: Amendment::Hide };
        // Each stands behind the message that says it, so numbers grow by what was done before.
        let wanted = [
            (0, edit(0, "has anybody a map?")),
            (0, react(3)),
            (1, hide(4)),
            (1, edit(7, "is it the big iland? (*island)")),
        ];
        let delete = (1, Act::Amend { of: 10, how: Amendment::Delete });
        assert_eq!(acts(raw, "0 2 -\n2 3 -\n"), [&wanted[..], &[delete]].concat());
        let thanked = [(0, react(10)), (1, hide(12))];
        assert_eq!(
            acts(raw, "0 2 -\n2 3 -\n6 8 -\n"),
            [&wanted[..], &thanked].concat(),
            "what is answered stays"
        );
    }

    #[test]
    fn who_answers_many_is_made_an_admin_until_they_part() {
        let mut raw = String::from("[10:00] <ann> hello\n");
        for minute in 1..12 {
            raw += &format!("[10:{minute:02}] <bob> ann: and {minute}\n");
        }
        raw += "=== bob has left #islands []\n=== bob has left #islands []\n[10:13] <ann> bye\n";
        let links: String = (1..12).map(|line| format!("0 {line} -\n")).collect();
        assert_eq!(acts(&raw, &links), [(0, Act::Promote(1)), (0, Act::Demote(1))]);
    }
}
