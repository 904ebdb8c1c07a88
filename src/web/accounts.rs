//! Who may see and do what: login links, sessions, tokens for programs, and limits of guessing. Pure: `now` is milliseconds
//! since 1970, and secrets come from outside.
//!
//! No secret is kept: only its BLAKE3 hash, which is safe for what has 160 random bits. Passwords, which have not, are
//! kept as argon2id makes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// How long a login link is good, in milliseconds.
const LINK_MS: u64 = 10 * 60_000;
/// How long a link is good with which a user chooses a password.
const INVITATION_MS: u64 = 24 * 3_600_000;
/// Links that are good at a time; the oldest goes first.
const MAX_LINKS: usize = 32;
/// A session that is not used ends after so long, and any after [`SESSION_MS`].
const IDLE_MS: u64 = 12 * 3_600_000;
const SESSION_MS: u64 = 7 * 24 * 3_600_000;
/// Sessions at a time; the one that was used longest ago goes first.
const MAX_SESSIONS: usize = 256;
/// Tokens and users that are kept.
pub(super) const MAX_TOKENS: usize = 256;
pub(super) const MAX_USERS: usize = 256;
/// Guesses that are free, for each account and each address.
const FREE_GUESSES: u32 = 5;
/// The pause after the next one, doubled with each, and the longest.
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 60_000;
/// Guesses a second in all.
const GUESSES_A_SECOND: u32 = 10;
/// A guesser is forgotten after so long.
const FORGET_MS: u64 = 3_600_000;
/// Guessers that are remembered; the one who guessed longest ago goes first.
const MAX_GUESSERS: usize = 4096;

/// What somebody may do: each role what those before it may, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// To read `/metrics`, and nothing else.
    Metrics,
    /// To see and download.
    Reader,
    /// To fetch, share, upload, and publish.
    Publisher,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, each before those that may more.
    pub(super) const ALL: [Role; 4] = [Role::Metrics, Role::Reader, Role::Publisher, Role::Admin];
}

/// A secret as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    pub(super) fn of(text: &str) -> Secret {
        Secret(*blake3::hash(text.as_bytes()).as_bytes())
    }

    pub(super) fn hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    pub(super) fn of_hex(text: &str) -> Option<Secret> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Secret)
    }

    /// What it is called where others see it: nobody comes from there to the secret.
    fn handle(self) -> String {
        self.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    /// The account, `owner` for who came by a login link.
    pub(super) account: String,
    pub(super) role: Role,
    /// The handle of the session, if it is one.
    pub(super) session: Option<String>,
}

/// The account of those who own the process.
pub(super) const OWNER: &str = "owner";

/// A link that is good once.
#[derive(Debug, Clone)]
struct Link {
    account: String,
    role: Role,
    until: u64,
    /// With it a user chooses a password, and is in.
    invites: bool,
}

/// A browser that is logged in.
#[derive(Debug, Clone)]
struct Session {
    account: String,
    role: Role,
    began: u64,
    used: u64,
    from: IpAddr,
}

/// A session as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct SessionView {
    pub(super) id: String,
    pub(super) account: String,
    pub(super) role: Role,
    /// Milliseconds since 1970.
    pub(super) began: u64,
    pub(super) used: u64,
    pub(super) from: String,
    /// True of who asks.
    pub(super) own: bool,
}

/// A token of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) name: String,
    pub(super) role: Role,
    /// Milliseconds since 1970.
    pub(super) until: u64,
}

/// A token as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct TokenView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scope: Role,
    /// Milliseconds since 1970.
    pub(super) until: u64,
}

/// A user with a password, or an invitation to choose one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) role: Role,
    /// As argon2id makes it; none until it is chosen.
    #[serde(default)]
    pub(super) password: Option<String>,
}

/// What is kept when the process ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) tokens: Vec<Token>,
    #[serde(default)]
    pub(super) users: Vec<User>,
}

/// Somebody who guessed wrong.
#[derive(Debug, Clone, Copy, Default)]
struct Guesser {
    wrong: u32,
    /// Nothing is listened to before.
    until: u64,
    last: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    kept: Kept,
    /// What is written of it.
    written: Kept,
    links: BTreeMap<Secret, Link>,
    sessions: BTreeMap<Secret, Session>,
    guessers: BTreeMap<String, Guesser>,
    /// The second in which guesses are counted, and how many it had.
    second: (u64, u32),
    /// Guesses since the start that were wrong, or not listened to.
    pub(super) refused: u64,
}

impl Accounts {
    pub(super) fn new(kept: Kept) -> Accounts {
        Accounts { written: kept.clone(), kept, ..Accounts::default() }
    }

    /// This is written.
    pub(super) fn is_written(&mut self, kept: Kept) {
        self.written = kept;
    }

    /// What was kept when it was written last.
    pub(super) fn written(&self) -> &Kept {
        &self.written
    }

    /// Others may have changed what is kept, or what was changed here could not be: who goes, may do something else, or has
    /// to choose his password anew is logged out.
    pub(super) fn renew(&mut self, kept: Kept) {
        if kept == self.written && kept == self.kept {
            return;
        }
        let of = |kept: &Kept, name: &str| kept.users.iter().find(|user| user.name == name).cloned();
        let is_same = |session: &Session| {
            let user = of(&kept, &session.account);
            session.account == OWNER || user.is_some() && user == of(&self.kept, &session.account)
        };
        self.sessions.retain(|_, session| is_same(session));
        (self.written, self.kept) = (kept.clone(), kept);
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whoever comes with this secret once within ten minutes is the owner.
    pub(super) fn add_login(&mut self, secret: Secret, now: u64) {
        let link =
            Link { account: OWNER.to_owned(), role: Role::Admin, until: now + LINK_MS, invites: false };
        self.add_link(secret, link, now);
    }

    fn add_link(&mut self, secret: Secret, link: Link, now: u64) {
        self.links.retain(|_, link| link.until > now);
        while self.links.len() >= MAX_LINKS {
            let first = self.links.iter().min_by_key(|(_, link)| link.until).map(|(secret, _)| *secret);
            first.map(|first| self.links.remove(&first));
        }
        self.links.insert(secret, link);
    }

    /// Who this link lets in, once. Nobody is kept out by others' guesses: a guess at 160 bits is no danger.
    pub(super) fn follow(&mut self, link: Secret, now: u64) -> Option<Who> {
        let good = self.links.get(&link).is_some_and(|link| link.until > now && !link.invites);
        let link = good.then(|| self.links.remove(&link)).flatten()?;
        Some(Who { account: link.account, role: link.role, session: None })
    }

    /// The user who is invited by this link and has this password from now on.
    pub(super) fn choose(&mut self, link: Secret, password: &str, now: u64) -> Option<Who> {
        let good = self.links.get(&link).is_some_and(|link| link.until > now && link.invites);
        let link = good.then(|| self.links.remove(&link)).flatten()?;
        let user = self.kept.users.iter_mut().find(|user| user.name == link.account)?;
        user.password = Some(password.to_owned());
        Some(Who { account: user.name.clone(), role: user.role, session: None })
    }

    /// Whether this link invites somebody to choose a password.
    pub(super) fn invites(&self, link: Secret, now: u64) -> bool {
        self.links.get(&link).is_some_and(|link| link.until > now && link.invites)
    }

    /// Begins a session.
    pub(super) fn begin(&mut self, who: &Who, secret: Secret, from: IpAddr, now: u64) {
        self.sessions.retain(|_, session| session.is_good(now));
        while self.sessions.len() >= MAX_SESSIONS {
            let first =
                self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(secret, _)| *secret);
            first.map(|first| self.sessions.remove(&first));
        }
        let session = Session { account: who.account.clone(), role: who.role, began: now, used: now, from };
        self.sessions.insert(secret, session);
    }

    /// Whose session this is.
    pub(super) fn session(&mut self, secret: Secret, now: u64) -> Option<Who> {
        let session = self.sessions.get_mut(&secret).filter(|session| session.is_good(now))?;
        session.used = now;
        Some(Who { account: session.account.clone(), role: session.role, session: Some(secret.handle()) })
    }

    /// The sessions, for who has the first of them.
    pub(super) fn sessions(&self, own: Option<&str>, now: u64) -> Vec<SessionView> {
        let good = self.sessions.iter().filter(|(_, session)| session.is_good(now));
        let view = |(secret, session): (&Secret, &Session)| SessionView {
            id: secret.handle(),
            account: session.account.clone(),
            role: session.role,
            began: session.began,
            used: session.used,
            from: session.from.to_string(),
            own: own == Some(&secret.handle()),
        };
        good.map(view).collect()
    }

    /// Ends the session of this handle; true if there was one.
    pub(super) fn end(&mut self, handle: &str) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|secret, _| secret.handle() != handle);
        self.sessions.len() < before
    }

    /// Takes in a token; false if there are too many.
    pub(super) fn add_token(
        &mut self,
        secret: Secret,
        (name, role): (&str, Role),
        until: u64,
        now: u64,
    ) -> bool {
        self.kept.tokens.retain(|token| token.until > now);
        let fits = self.kept.tokens.len() < MAX_TOKENS;
        if fits {
            self.kept.tokens.push(Token { secret, name: name.to_owned(), role, until });
        }
        fits
    }

    /// Whose token this is.
    pub(super) fn token(&self, secret: Secret, now: u64) -> Option<Who> {
        let token = self.kept.tokens.iter().find(|token| token.secret == secret && token.until > now)?;
        Some(Who { account: format!("token {}", token.name), role: token.role, session: None })
    }

    /// The tokens.
    pub(super) fn tokens(&self, now: u64) -> Vec<TokenView> {
        let good = self.kept.tokens.iter().filter(|token| token.until > now);
        let view = |token: &Token| TokenView {
            id: token.secret.handle(),
            name: token.name.clone(),
            scope: token.role,
            until: token.until,
        };
        good.map(view).collect()
    }

    /// Ends the token of this handle; true if there was one.
    pub(super) fn end_token(&mut self, handle: &str) -> bool {
        let before = self.kept.tokens.len();
        self.kept.tokens.retain(|token| token.secret.handle() != handle);
        self.kept.tokens.len() < before
    }

    /// The users, by name.
    pub(super) fn users(&self) -> &[User] {
        &self.kept.users
    }

    /// Adds a user, or gives him another role and has him choose his password again; his sessions end. The link with
    /// `invitation` lets him do so. False if there are too many.
    pub(super) fn add_user(&mut self, (name, role): (&str, Role), invitation: Secret, now: u64) -> bool {
        self.remove_user(name);
        let fits = self.kept.users.len() < MAX_USERS;
        if fits {
            self.kept.users.push(User { name: name.to_owned(), role, password: None });
            self.kept.users.sort_by(|a, b| a.name.cmp(&b.name));
            let link = Link { account: name.to_owned(), role, until: now + INVITATION_MS, invites: true };
            self.add_link(invitation, link, now);
        }
        fits
    }

    /// Removes a user with his sessions; true if there was one.
    pub(super) fn remove_user(&mut self, name: &str) -> bool {
        let before = self.kept.users.len();
        self.kept.users.retain(|user| user.name != name);
        self.links.retain(|_, link| link.account != name);
        self.sessions.retain(|_, session| session.account != name);
        self.kept.users.len() < before
    }

    /// The password of a user, as it is kept, and who comes in with it.
    pub(super) fn password(&self, name: &str) -> Option<(Who, String)> {
        let user = self.kept.users.iter().find(|user| user.name == name)?;
        let who = Who { account: user.name.clone(), role: user.role, session: None };
        Some((who, user.password.clone()?))
    }

    /// Whether a guess is listened to, which is taken as one; else the milliseconds until one is. Those of an account and
    /// those of an address are counted apart, and all together.
    pub(super) fn may_guess(&mut self, account: &str, from: IpAddr, now: u64) -> Result<(), u64> {
        self.guessers.retain(|_, guesser| now.saturating_sub(guesser.last) < FORGET_MS);
        let keys = guessers(account, from);
        let until = keys.iter().filter_map(|key| self.guessers.get(key)).map(|guesser| guesser.until).max();
        let second = now / 1_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        let wait = match until {
            Some(until) if until > now => until - now,
            _ if self.second.1 >= GUESSES_A_SECOND => (second + 1) * 1_000 - now,
            _ => {
                self.second.1 += 1;
                return Ok(());
            }
        };
        self.refused += 1;
        Err(wait)
    }

    /// The guess was wrong.
    pub(super) fn guessed_wrong(&mut self, account: &str, from: IpAddr, now: u64) {
        self.refused += 1;
        for key in guessers(account, from) {
            if self.guessers.len() >= MAX_GUESSERS {
                let first = self.guessers.iter().min_by_key(|(_, guesser)| guesser.last);
                let first = first.map(|(key, _)| key.clone());
                first.map(|first| self.guessers.remove(&first));
            }
            let guesser = self.guessers.entry(key).or_default();
            guesser.wrong += 1;
            guesser.last = now;
            if let Some(more) = guesser.wrong.checked_sub(FREE_GUESSES) {
                let pause = FIRST_PAUSE_MS.saturating_mul(1 << more.min(16));
                guesser.until = now + pause.min(LONGEST_PAUSE_MS);
            }
        }
    }

    /// The guess was right: it starts anew for both.
    pub(super) fn guessed_right(&mut self, account: &str, from: IpAddr) {
        for key in guessers(account, from) {
            self.guessers.remove(&key);
        }
    }
}

impl Session {
    fn is_good(&self, now: u64) -> bool {
        now < self.used.saturating_add(IDLE_MS) && now < self.began.saturating_add(SESSION_MS)
    }
}

/// Under what guesses are counted. Names of accounts are of any length, so they are not kept.
fn guessers(account: &str, from: IpAddr) -> [String; 2] {
    [Secret::of(account).handle(), from.to_canonical().to_string()]
}

#[cfg(test)]
mod tests;
