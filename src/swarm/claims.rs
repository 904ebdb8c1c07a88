//! What sizes peers claim of one id, and whose claim is to be proved next. Pure.
//!
//! A content is its id and its size: the rest follows from the size of a file, and from the bytes of a listing. Of
//! several sizes at most one is true, and only bytes tell which: the last chunk's hash depends on where it begins
//! and ends, so whoever sends it with its proof has proved the size. All sizes are tried side by side, each at one
//! of its holders at a time, hosts in turn, so that no number of false claims keeps the true one waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::content::{Address, PeerId};

/// Holders that are asked at once.
const MAX_ASKED: usize = 16;
/// Who was asked so long ago and has not answered keeps no place of these: another is asked beside.
const PLACE_PATIENCE: Duration = Duration::from_millis(100);
/// Holders that are asked at once, those included that keep no place.
const MAX_ASKED_IN_ALL: usize = 128;
/// Most sizes remembered, and most holders of each.
const MAX_SIZES: usize = 256;
const MAX_HOLDERS: usize = 64;
/// Most peers remembered for a false claim.
const MAX_BANNED: usize = 4096;
/// First and longest pause before a holder that could not be reached is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What asking a holder for the proof of its claim came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It sent the last chunk, and that is proved.
    Proved,
    /// It sent something else.
    Wrong,
    /// It could not be reached, or cannot say now, or says something else now.
    Away,
}

/// A holder to ask for the proof of a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) size: u64,
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Holder {
    addresses: Vec<SocketAddr>,
    /// That of the first of them.
    host: IpAddr,
    /// It claims to have all of it, and so to know how much that is. Who has a part may have been deceived.
    whole: bool,
    /// How often it was asked.
    tries: u32,
    asked: Option<Instant>,
    not_before: Option<Instant>,
}

#[derive(Debug, Default)]
struct Size {
    /// Peers that say they have some of it: whoever has nothing yet proves nothing.
    holders: BTreeMap<PeerId, Holder>,
    /// How often one of them was asked.
    tries: u32,
}

impl Size {
    /// True if there is room for one holder more: who was asked in vain most often makes it.
    fn make_room(&mut self) -> bool {
        let vainest = self.holders.iter().filter(|(_, holder)| holder.tries > 0);
        let vainest = vainest.max_by_key(|(_, holder)| holder.tries).map(|(peer, _)| *peer);
        self.holders.len() < MAX_HOLDERS || vainest.is_some_and(|peer| self.holders.remove(&peer).is_some())
    }
}

/// The claims about one id.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    sizes: BTreeMap<u64, Size>,
    /// How often each host was asked.
    turns: BTreeMap<IpAddr, u32>,
    proved: Option<u64>,
    banned: BTreeSet<PeerId>,
    /// Banned since last time.
    blamed: Vec<PeerId>,
}

impl Claims {
    /// Somebody claims that the content has this size.
    pub(crate) fn hear(&mut self, size: u64) {
        if self.proved.is_some() || self.sizes.contains_key(&size) {
            return;
        }
        if self.sizes.len() >= MAX_SIZES {
            let vainest = self.sizes.iter().max_by_key(|(_, claim)| claim.tries).map(|(size, _)| *size);
            let Some(vainest) = vainest else { return };
            self.sizes.remove(&vainest);
        }
        self.sizes.insert(size, Size::default());
    }

    /// This peer claims it, and that it has some of the content, or the `whole` of it.
    pub(crate) fn hear_holder(&mut self, size: u64, peer: PeerId, addresses: &[Address], whole: bool) {
        match self.proved {
            Some(proved) if proved != size && whole => return self.ban(peer),
            Some(_) => return,
            None => self.hear(size),
        }
        let Some(claim) = self.sizes.get_mut(&size).filter(|_| !self.banned.contains(&peer)) else { return };
        let Some(host) = addresses.first().map(|address| address.ip()) else { return };
        let addresses = addresses.iter().map(|address| address.socket()).collect();
        if let Some(holder) = claim.holders.get_mut(&peer) {
            (holder.addresses, holder.host, holder.whole) = (addresses, host, whole);
        } else if claim.make_room() {
            let holder = Holder { addresses, host, whole, tries: 0, asked: None, not_before: None };
            claim.holders.insert(peer, holder);
        }
    }

    /// The size that is true, or the only one that is claimed.
    pub(crate) fn agreed(&self) -> Option<u64> {
        let sole = || self.sizes.keys().next().copied().filter(|_| self.sizes.len() == 1);
        self.proved.or_else(sole)
    }

    /// The size that is true.
    pub(crate) fn proved(&self) -> Option<u64> {
        self.proved
    }

    /// True if several sizes are claimed, and none is proved yet.
    pub(crate) fn is_disputed(&self) -> bool {
        self.proved.is_none() && self.sizes.len() > 1
    }

    /// How many sizes are claimed.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// True if this peer has claimed what is not so.
    pub(crate) fn is_banned(&self, peer: PeerId) -> bool {
        self.banned.contains(&peer)
    }

    /// Who was found to claim what is not so, since last time.
    pub(crate) fn take_blamed(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.blamed)
    }

    /// Whom to ask now; each is counted as asked until [`Claims::answered`].
    #[must_use]
    pub(crate) fn ask(&mut self, now: Instant) -> Vec<Question> {
        let mut questions = Vec::new();
        while self.is_disputed() && self.has_place(now) {
            let Some((size, peer)) = self.next(now) else { break };
            let Some(claim) = self.sizes.get_mut(&size) else { break };
            let Some(holder) = claim.holders.get_mut(&peer) else { break };
            holder.asked = Some(now);
            holder.tries += 1;
            claim.tries += 1;
            *self.turns.entry(holder.host).or_default() += 1;
            questions.push(Question { size, peer, addresses: holder.addresses.clone() });
        }
        questions
    }

    fn has_place(&self, now: Instant) -> bool {
        let asked =
            || self.sizes.values().flat_map(|claim| claim.holders.values()).filter_map(|holder| holder.asked);
        asked().filter(|at| is_fresh(*at, now)).count() < MAX_ASKED && asked().count() < MAX_ASKED_IN_ALL
    }

    /// The next holder: of the host, then the size, then itself that was asked least.
    fn next(&self, now: Instant) -> Option<(u64, PeerId)> {
        let waiting = |claim: &Size| {
            claim.holders.values().any(|holder| holder.asked.is_some_and(|at| is_fresh(at, now)))
        };
        let open = self.sizes.iter().filter(|(_, claim)| !waiting(claim));
        let all = open.flat_map(|(size, claim)| {
            claim.holders.iter().map(move |(peer, holder)| (size, claim, peer, holder))
        });
        let ready =
            all.filter(|(.., holder)| holder.asked.is_none() && holder.not_before.is_none_or(|at| now >= at));
        let turns = |holder: &Holder| self.turns.get(&holder.host).copied().unwrap_or_default();
        let next = ready.min_by_key(|(_, claim, _, holder)| (turns(holder), claim.tries, holder.tries));
        next.map(|(size, _, peer, _)| (*size, *peer))
    }

    /// A holder that [`Claims::ask`] named has answered, or not.
    pub(crate) fn answered(&mut self, size: u64, peer: PeerId, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Proved => self.prove(size),
            Verdict::Wrong => self.ban(peer),
            Verdict::Away => {
                let holder = self.sizes.get_mut(&size).and_then(|claim| claim.holders.get_mut(&peer));
                if let Some(holder) = holder {
                    let doubled = FIRST_PAUSE.saturating_mul(1 << holder.tries.saturating_sub(1).min(10));
                    (holder.asked, holder.not_before) = (None, now.checked_add(doubled.min(LONGEST_PAUSE)));
                }
            }
        }
    }

    /// This is the size: whoever claims to have all of another pays for it.
    pub(crate) fn prove(&mut self, size: u64) {
        if self.proved.is_some() {
            return;
        }
        self.proved = Some(size);
        let false_ones = std::mem::take(&mut self.sizes);
        for (_, claim) in false_ones.into_iter().filter(|(other, _)| *other != size) {
            let liars = claim.holders.into_iter().filter(|(_, holder)| holder.whole);
            liars.for_each(|(peer, _)| self.ban(peer));
        }
    }

    /// This peer has claimed what is not so.
    pub(crate) fn ban(&mut self, peer: PeerId) {
        if self.banned.len() < MAX_BANNED && self.banned.insert(peer) {
            self.blamed.push(peer);
        }
        for claim in self.sizes.values_mut() {
            claim.holders.remove(&peer);
        }
    }
}

fn is_fresh(asked: Instant, now: Instant) -> bool {
    now.saturating_duration_since(asked) < PLACE_PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> [Address; 1] {
        [Address::new([10, 0, 0, number].into(), 7).unwrap()]
    }

    fn peer(number: u8) -> PeerId {
        PeerId([number; 16])
    }

    /// A holder of each size, all of one host.
    fn claimed(sizes: std::ops::RangeInclusive<u8>) -> Claims {
        let mut claims = Claims::default();
        sizes.for_each(|size| claims.hear_holder(u64::from(size), peer(size), &host(1), true));
        claims
    }

    fn sizes(questions: &[Question]) -> Vec<u64> {
        questions.iter().map(|question| question.size).collect()
    }

    #[test]
    fn what_nobody_disputes_is_agreed_without_a_question() {
        let mut claims = claimed(1..=1);
        assert_eq!((claims.agreed(), claims.is_disputed()), (Some(1), false));
        assert_eq!(claims.ask(Instant::now()), []);
        assert_eq!(Claims::default().agreed(), None);
    }

    #[test]
    fn all_sizes_are_asked_side_by_side_and_who_is_mute_keeps_no_place() {
        let start = Instant::now();
        let mut claims = claimed(1..=40);
        assert_eq!(claims.agreed(), None);
        let mut asked = sizes(&claims.ask(start));
        assert_eq!(asked.len(), MAX_ASKED);
        assert_eq!(claims.ask(start), [], "no more at once");
        asked.extend(sizes(&claims.ask(start + PLACE_PATIENCE)));
        asked.extend(sizes(&claims.ask(start + 2 * PLACE_PATIENCE)));
        assert_eq!(asked, (1..=40).collect::<Vec<u64>>(), "each once, and all soon");
    }

    #[test]
    fn hosts_take_turns_however_many_claims_one_of_them_makes() {
        let mut claims = claimed(1..=40);
        claims.hear_holder(99, peer(99), &host(2), true);
        assert!(sizes(&claims.ask(Instant::now())).contains(&99));
    }

    #[test]
    fn a_proof_wins_and_the_others_pay() {
        let now = Instant::now();
        let mut claims = claimed(1..=3);
        let _ = claims.ask(now);
        claims.answered(2, peer(2), Verdict::Proved, now);
        assert_eq!((claims.proved(), claims.agreed(), claims.is_disputed()), (Some(2), Some(2), false));
        assert_eq!(claims.take_blamed(), [peer(1), peer(3)]);
        assert!(claims.is_banned(peer(1)) && !claims.is_banned(peer(2)));
        claims.hear_holder(9, peer(9), &host(1), true);
        assert_eq!(claims.take_blamed(), [peer(9)], "late ones too");
        claims.answered(3, peer(3), Verdict::Proved, now);
        assert_eq!(claims.proved(), Some(2), "there is no second truth");
        assert_eq!(claims.ask(now), []);
    }

    #[test]
    fn who_has_a_part_of_a_false_size_was_deceived_and_pays_nothing() {
        let mut claims = claimed(1..=1);
        claims.hear_holder(2, peer(2), &host(1), false);
        claims.prove(1);
        claims.hear_holder(2, peer(3), &host(1), false);
        assert_eq!(claims.take_blamed(), []);
    }

    #[test]
    fn who_is_wrong_is_not_asked_again_and_another_holder_of_its_size_is() {
        let now = Instant::now();
        let mut claims = claimed(1..=2);
        claims.hear_holder(1, peer(8), &host(1), true);
        let _ = claims.ask(now);
        claims.answered(1, peer(1), Verdict::Wrong, now);
        assert_eq!(claims.take_blamed(), [peer(1)]);
        claims.hear_holder(1, peer(1), &host(1), true);
        let next = claims.ask(now);
        assert_eq!(next.iter().map(|question| question.peer).collect::<Vec<_>>(), [peer(8)]);
    }

    #[test]
    fn who_is_away_is_asked_again_later_and_later() {
        let mut now = Instant::now();
        let mut claims = claimed(1..=2);
        for pause in [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE] {
            assert_eq!(claims.ask(now).len(), 2);
            for number in 1..=2 {
                claims.answered(u64::from(number), peer(number), Verdict::Away, now);
            }
            assert_eq!(claims.ask(now + pause - Duration::from_millis(1)), []);
            now += pause;
        }
    }

    #[test]
    fn sizes_without_a_holder_are_claims_all_the_same() {
        let mut claims = claimed(1..=1);
        claims.hear(2);
        assert_eq!((claims.agreed(), claims.is_disputed()), (None, true));
        assert_eq!(sizes(&claims.ask(Instant::now())), [1]);
    }

    #[test]
    fn holders_that_are_mute_make_room_for_others() {
        let now = Instant::now();
        let mut claims = claimed(1..=1);
        let id = |number: usize| PeerId((number as u128 + 1000).to_be_bytes());
        let hear = |claims: &mut Claims, number| claims.hear_holder(2, id(number), &host(1), true);
        (0..2 * MAX_HOLDERS).for_each(|number| hear(&mut claims, number));
        assert_eq!(claims.sizes[&2].holders.len(), MAX_HOLDERS);
        hear(&mut claims, 5000);
        assert!(!claims.sizes[&2].holders.contains_key(&id(5000)), "all of them are still to be asked");
        let _ = claims.ask(now);
        hear(&mut claims, 5000);
        assert!(claims.sizes[&2].holders.contains_key(&id(5000)));
        assert_eq!(claims.sizes[&2].holders.len(), MAX_HOLDERS);
    }

    #[test]
    fn endless_claims_take_bounded_room_and_a_newcomer_is_heard() {
        let now = Instant::now();
        let mut claims = Claims::default();
        for size in 1..=10 * MAX_SIZES as u64 {
            let id = PeerId(u128::from(size).to_be_bytes());
            claims.hear_holder(size, id, &host(1), true);
            let _ = claims.ask(now);
        }
        assert_eq!(claims.len(), MAX_SIZES);
        assert!(claims.sizes.contains_key(&(10 * MAX_SIZES as u64)));
    }

    #[test]
    fn only_so_many_are_remembered_for_a_false_claim() {
        let mut claims = Claims::default();
        claims.prove(1);
        let id = |number: usize| PeerId((number as u128).to_be_bytes());
        claims.hear_holder(1, id(9999), &host(1), true);
        assert_eq!(claims.take_blamed(), [], "what it says is so");
        (0..=MAX_BANNED).for_each(|number| claims.hear_holder(2, id(number), &host(1), true));
        let blamed = claims.take_blamed();
        assert_eq!((blamed.len(), blamed.last()), (MAX_BANNED, Some(&id(MAX_BANNED - 1))));
        assert!(!claims.is_banned(id(MAX_BANNED)));
    }

    #[test]
    fn of_those_who_do_not_answer_only_so_many_are_asked() {
        let start = Instant::now();
        let mut claims = claimed(1..=200);
        let asked: usize = (0..20).map(|nth| claims.ask(start + nth * PLACE_PATIENCE).len()).sum();
        assert_eq!(asked, MAX_ASKED_IN_ALL);
        let later = start + 20 * PLACE_PATIENCE;
        claims.answered(1, peer(1), Verdict::Away, later);
        assert_eq!(claims.ask(later).len(), 1, "one has a place again");
    }
}
