//! Escrow: how regions that cannot ask each other hand out what must not be handed out twice.
//!
//! A limit that is checked by reading a count is exceeded as soon as two regions read it at once. Here what may be spent is shared out
//! beforehand: a replica spends, or gives away, only what it holds, and asks nobody (Balegas et al., "Extending Eventually
//! Consistent Cloud Databases for Enforcing Numeric Invariants", SRDS 2015). Rights to a member's place are a count, one-time keys are a set.
//!
//! What must always hold:
//! - What is held, on its way and spent is together what was issued, whatever is concurrent with whatever.
//! - Who spends or gives what they do not hold, as of the operation's own cut, has done nothing: a rule of the set of operations alone, so it is
//!   the same everywhere.
//! - A new incarnation is a new replica and begins with nothing. What an ended one held goes to the one heir that an epoch names.
//!
//! It does not know what a right is for, nor whether it is time to return one: that is the roster's fold.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::{Dot, Incarnation, RegionId, ReplicaId, Sequence};
use crate::version_vector::Cut;
use std::collections::{BTreeMap, BTreeSet};

/// What is handed out: so many of it, or these.
pub trait Purse: Clone + PartialEq + Eq + Default + std::fmt::Debug {
    /// Takes that part out. False, and nothing taken, if it is not all there.
    fn take(&mut self, part: &Self) -> bool;
    /// Puts that part in.
    fn put(&mut self, part: &Self);
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool;
}

/// Things that are all alike, such as rights to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Count(pub u64);

impl Purse for Count {
    fn take(&mut self, part: &Self) -> bool {
        let left = self.0.checked_sub(part.0);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn put(&mut self, part: &Self) {
        self.0 = self.0.saturating_add(part.0);
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

/// Things that are told apart, such as one-time keys.
impl<T: Ord + Clone + std::fmt::Debug> Purse for BTreeSet<T> {
    fn take(&mut self, part: &Self) -> bool {
        let there = part.is_subset(self);
        if there {
            self.retain(|thing| !part.contains(thing));
        }
        there
    }

    fn put(&mut self, part: &Self) {
        self.extend(part.iter().cloned());
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

/// One operation on an escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement<P> {
    /// Its issuer and number.
    pub dot: Dot,
    /// What its region had applied.
    pub cut: Cut,
    /// What it does.
    pub act: Act<P>,
}

/// What an operation does to an escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act<P> {
    /// Its issuer uses something up.
    Spend(P),
    /// Its issuer gives to another.
    Transfer {
        /// To whom.
        to: ReplicaId,
        /// What.
        part: P,
    },
    /// Its issuer has something back that it had spent.
    Return(P),
    /// Its issuer takes over from a replica that an epoch has ended and named it the heir of. Its cut covers all that
    /// replica's operations. Whoever applies it has checked that with the epoch.
    Inherit(ReplicaId),
}

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is done.
    Done,
    /// It was known.
    AlreadyDone,
    /// Its issuer did not hold that: nothing is done, here as everywhere. A region that keeps to the rules issues no such thing: count it, and raise
    /// an alarm.
    NotHeld,
}

/// Who holds what.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | two replicas spend their last | both stand: each held it |
/// | a transfer, and a spending by the receiver who had not seen it | the spending stands only on what they held without it |
/// | a transfer to a replica that is ended meanwhile | its heir has it |
/// | two transfers to each other | both stand |
/// | a spending of what the issuer does not hold | void everywhere, and what is spent on the strength of it |
/// | a replica's new incarnation | holds nothing until somebody gives it something |
///
/// Cost: `O(log n)` a movement and what is on its way to its issuer. Growth: replicas that ever held something, about 20 bytes
/// each, and what is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Escrow<P> {
    accounts: BTreeMap<ReplicaId, Account<P>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Account<P> {
    /// Its last operation here.
    last: Sequence,
    /// As of that operation's cut.
    held: P,
    /// Given to it, and not in the cut of any of its operations yet.
    coming: BTreeMap<Dot, P>,
    heir: Option<ReplicaId>,
}

/// A replica has nothing left to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoneLeft {
    /// Another has.
    #[error("this region has no more to give out; {0} has: ask again in a moment, or there")]
    Here(ReplicaId),
    /// As far as is known here nobody has.
    #[error("all of it is given out: wait until some is returned")]
    Anywhere,
}

impl<P: Purse> Escrow<P> {
    /// Shared out like this.
    #[must_use]
    pub fn issue(shares: BTreeMap<ReplicaId, P>) -> Self {
        let account = |held| Account { held, ..Account::default() };
        let held = shares.into_iter().filter(|(_, part)| !part.is_empty());
        Self { accounts: held.map(|(replica, part)| (replica, account(part))).collect() }
    }

    /// Takes an operation, once or again. Those of one replica come in the order of its numbers, and whatever a cut covers comes before, as logs
    /// see to.
    pub fn apply(&mut self, movement: &Movement<P>) -> Moved {
        let dot = movement.dot;
        let account = self.accounts.entry(dot.replica).or_default();
        if dot.sequence <= account.last {
            return Moved::AlreadyDone;
        }
        account.last = dot.sequence;
        account.arrive(&movement.cut);
        match &movement.act {
            Act::Return(part) => account.held.put(part),
            Act::Spend(part) => {
                if !account.held.take(part) {
                    return Moved::NotHeld;
                }
            }
            Act::Transfer { to, part } => {
                if !account.held.take(part) {
                    return Moved::NotHeld;
                }
                let to = self.last_heir(*to);
                self.accounts.entry(to).or_default().coming.insert(dot, part.clone());
            }
            Act::Inherit(of) => self.inherit(dot.replica, *of, &movement.cut),
        }
        Moved::Done
    }

    /// What that replica may spend or give away, when it has applied all that this escrow has.
    #[must_use]
    pub fn held(&self, replica: ReplicaId) -> P {
        let mut all = P::default();
        if let Some(account) = self.accounts.get(&replica) {
            all.put(&account.held);
            account.coming.values().for_each(|part| all.put(part));
        }
        all
    }

    /// All that hold something, and what, sorted by replica.
    pub fn holders(&self) -> impl Iterator<Item = (ReplicaId, P)> + '_ {
        self.accounts
            .keys()
            .map(|replica| (*replica, self.held(*replica)))
            .filter(|(_, held)| !held.is_empty())
    }

    /// The door: whether that replica, which has applied all that this escrow has, may spend or give away that part.
    ///
    /// # Errors
    /// [`NoneLeft`] says who else could.
    pub fn check(&self, replica: ReplicaId, part: &P) -> Result<(), NoneLeft> {
        let has = |held: &P| held.clone().take(part);
        if has(&self.held(replica)) {
            return Ok(());
        }
        let other = self.holders().find(|(_, held)| has(held));
        Err(other.map_or(NoneLeft::Anywhere, |(other, _)| NoneLeft::Here(other)))
    }

    /// Who has what is meant for that replica: itself, unless it was inherited from.
    pub(crate) fn last_heir(&self, replica: ReplicaId) -> ReplicaId {
        let mut at = replica;
        // An heir outlives whom it inherits from, so this is no longer than there are accounts; a longer chain is a circle, and stays.
        for _ in 0..self.accounts.len() {
            match self.accounts.get(&at).and_then(|account| account.heir) {
                Some(heir) => at = heir,
                None => return at,
            }
        }
        replica
    }

    fn inherit(&mut self, heir: ReplicaId, of: ReplicaId, cut: &Cut) {
        if heir == of || self.last_heir(heir) == of {
            return;
        }
        let ended = self.accounts.entry(of).or_default();
        if ended.heir.is_some() {
            return;
        }
        ended.heir = Some(heir);
        ended.arrive(cut);
        let held = std::mem::take(&mut ended.held);
        let coming = std::mem::take(&mut ended.coming);
        let account = self.accounts.entry(heir).or_default();
        account.held.put(&held);
        account.coming.extend(coming);
    }
}

impl<P: Purse> Account<P> {
    /// What was on its way and is in that cut is held now.
    fn arrive(&mut self, cut: &Cut) {
        let here: Vec<Dot> = self.coming.keys().copied().filter(|dot| cut.covers(*dot)).collect();
        for dot in here {
            if let Some(part) = self.coming.remove(&dot) {
                self.held.put(&part);
            }
        }
    }
}

/// The first shares of a count: half to the replica that begins, rounded up, and the rest to the others alike; what does not come out even
/// goes to those of the lowest ids. All of it to the first if it is alone.
#[must_use]
pub fn shares(count: u64, first: ReplicaId, active: &BTreeSet<ReplicaId>) -> BTreeMap<ReplicaId, Count> {
    let others: Vec<ReplicaId> = active.iter().copied().filter(|replica| *replica != first).collect();
    let rest = if others.is_empty() { 0 } else { count / 2 };
    let mut shares = BTreeMap::from([(first, Count(count - rest))]);
    let each = rest.checked_div(others.len() as u64).unwrap_or(0);
    let mut uneven = rest.checked_rem(others.len() as u64).unwrap_or(0);
    for replica in others {
        let one = u64::from(uneven > 0);
        uneven -= one;
        shares.insert(replica, Count(each + one));
    }
    shares.retain(|_, share| share.0 > 0);
    shares
}

impl Escrow<Count> {
    /// The policy by which rights move to where they will be needed, before they are: what `me` should give now, and to whom. `reachable` are
    /// the active replicas it has a way to, itself included.
    ///
    /// The richest of them gives the poorest half of what it has more, as soon as that has less than a quarter of what the richest has, or, of n > 3,
    /// less than a (2n-2)th, which is half of what first shares leave it. So rights move seldom, not when they have just been shared out, each time at least one, never
    /// back at once, and as long as one has two to spare nobody in reach has none.
    #[must_use]
    pub fn transfer_due(&self, me: ReplicaId, reachable: &BTreeSet<ReplicaId>) -> Option<(ReplicaId, Count)> {
        let held = |replica: &ReplicaId| (self.held(*replica).0, *replica);
        let richest =
            reachable.iter().map(held).max_by_key(|(held, replica)| (*held, std::cmp::Reverse(*replica)))?;
        let poorest = reachable.iter().map(held).min()?;
        let times = reachable.len().saturating_sub(1).saturating_mul(2).max(4) as u64;
        let due = richest.1 == me && poorest.0.saturating_mul(times) < richest.0;
        // What is on its way to me is mine to give only once one of my operations has seen it, and this one will have.
        let part = (richest.0 - poorest.0) / 2;
        (due && part > 0).then_some((poorest.1, Count(part)))
    }

    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.write(&mut encoder);
        encoder.into_bytes()
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.count(self.accounts.len());
        for (replica, account) in &self.accounts {
            write_replica(*replica, encoder);
            encoder.varint(account.last.0);
            encoder.varint(account.held.0);
            encoder.count(account.coming.len());
            for (dot, part) in &account.coming {
                encoder.dot(*dot);
                encoder.varint(part.0);
            }
            encoder.byte(u8::from(account.heir.is_some()));
            if let Some(heir) = account.heir {
                write_replica(heir, encoder);
            }
        }
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let escrow = Self::take(&mut decoder)?;
        decoder.finish()?;
        Ok(escrow)
    }

    pub(crate) fn take(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let accounts = decoder.map(14, |decoder| {
            let replica = read_replica(decoder)?;
            let last = Sequence(decoder.varint()?);
            let held = Count(decoder.varint()?);
            let coming = decoder
                .map(Decoder::DOT_BYTES_MIN + 1, |decoder| Ok((decoder.dot()?, Count(decoder.varint()?))))?;
            let heir = decoder.flag()?.then(|| read_replica(decoder)).transpose()?;
            Ok((replica, Account { last, held, coming, heir }))
        })?;
        Ok(Self { accounts })
    }
}

fn write_replica(replica: ReplicaId, encoder: &mut Encoder) {
    encoder.fixed(&replica.region.0.to_be_bytes());
    encoder.fixed(&replica.incarnation.0.to_be_bytes());
}

fn read_replica(decoder: &mut Decoder<'_>) -> Result<ReplicaId, MalformedState> {
    let region = RegionId(u16::from_be_bytes(decoder.array()?));
    Ok(ReplicaId { region, incarnation: Incarnation(decoder.number()?) })
}
