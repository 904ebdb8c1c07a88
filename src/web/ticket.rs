//! Tickets by which who is logged in at one page goes on at another when the first is gone: good for minutes, and once at
//! each page. The pages share a key, and need not talk. Pure: `now` is milliseconds since 1970.

use std::collections::BTreeMap;

use super::accounts::{Role, Who};

/// How long one is good, in milliseconds.
pub(super) const TICKET_MS: u64 = 5 * 60_000;
/// Used tickets that are remembered until they are good no more.
const MAX_USED: usize = 4_096;
/// Bytes of the check that comes first, of the number that nobody guesses, of the time of the end.
const CHECK: usize = 32;
const NUMBER: usize = 16;
const UNTIL: usize = 8;
/// Most bytes of one, and of an account's name in it.
const MAX_BYTES: usize = 256;

/// What pages share.
#[derive(Clone)]
pub(super) struct TicketKey([u8; 32]);

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketKey")
    }
}

impl TicketKey {
    /// Of what is in a file.
    pub(super) fn of(secret: &[u8]) -> TicketKey {
        TicketKey(blake3::derive_key("p2p v1 page tickets", secret))
    }

    fn check(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, bytes)
    }

    /// A ticket of this account.
    pub(super) fn make(&self, who: &Who, number: [u8; NUMBER], now: u64) -> String {
        let mut bytes = number.to_vec();
        bytes.extend((now + TICKET_MS).to_be_bytes());
        bytes.push(who.role as u8);
        bytes.extend(who.account.as_bytes());
        let check = self.check(&bytes);
        let all = check.as_bytes().iter().chain(&bytes);
        all.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whose ticket it is, its number and its end; `None` if it is none, or over.
    fn read(&self, text: &str, now: u64) -> Option<(Who, [u8; NUMBER], u64)> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        let (check, rest) = bytes.split_at_checked(CHECK)?;
        // Compared in constant time.
        let is_ours = self.check(rest) == <[u8; CHECK]>::try_from(check).ok()?;
        let (number, more) = rest.split_at_checked(NUMBER).filter(|_| is_ours && bytes.len() <= MAX_BYTES)?;
        let (until, more) = more.split_at_checked(UNTIL)?;
        let until = u64::from_be_bytes(until.try_into().ok()?);
        let (role, account) = more.split_first()?;
        let role = Role::ALL.into_iter().find(|known| *known as u8 == *role)?;
        let account = String::from_utf8(account.to_vec()).ok()?;
        (until > now).then_some((Who { account, role, session: None }, number.try_into().ok()?, until))
    }
}

/// Tickets that were used here.
#[derive(Debug, Default)]
pub(super) struct Used(BTreeMap<[u8; NUMBER], u64>);

impl Used {
    /// Who comes with this ticket, for the first time.
    pub(super) fn come(&mut self, key: &TicketKey, ticket: &str, now: u64) -> Option<Who> {
        let (who, number, until) = key.read(ticket, now)?;
        self.0.retain(|_, until| *until > now);
        let is_new = !self.0.contains_key(&number) && self.0.len() < MAX_USED;
        is_new.then(|| {
            self.0.insert(number, until);
            who
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_at_each_page_that_has_the_key_and_for_minutes() {
        let (key, other) = (TicketKey::of(b"a secret"), TicketKey::of(b"another"));
        let who = Who { account: "anna".to_owned(), role: Role::Publisher, session: None };
        let ticket = key.make(&who, [7; NUMBER], 1_000);
        let (mut here, mut there) = (Used::default(), Used::default());
        assert_eq!(here.come(&other, &ticket, 1_000), None);
        assert_eq!(here.come(&key, &ticket, 1_000 + TICKET_MS), None);
        assert_eq!(here.come(&key, &ticket, 999 + TICKET_MS), Some(who.clone()));
        assert_eq!(here.come(&key, &ticket, 1_000), None, "used");
        assert_eq!(there.come(&key, &ticket, 1_000), Some(who));
    }

    #[test]
    fn a_ticket_that_was_changed_is_none() {
        let key = TicketKey::of(b"a secret");
        let who = Who { account: "anna".to_owned(), role: Role::Reader, session: None };
        let ticket = key.make(&who, [7; NUMBER], 0);
        for at in 0..ticket.len() {
            let mut changed = ticket.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Used::default().come(&key, &changed, 0), None, "{at}");
        }
        for bad in ["", "00", "zz", &ticket[2..], &format!("{ticket}00")] {
            assert_eq!(Used::default().come(&key, bad, 0), None, "{bad}");
        }
    }
}
