//! Logging in and out, and who may: sessions, tokens for programs, users.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use hyper::StatusCode;
use hyper::header::SET_COOKIE;
use serde::{Deserialize, Serialize};

use super::accounts::{Role, Secret, User, Who};
use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::{Site, now, secret};
use crate::threads::lock;

/// Seconds that a browser keeps the session; the server ends it when it is not used.
const COOKIE_SECONDS: u64 = 12 * 3_600;
/// Names of users and tokens, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Shortest and longest password, in bytes: the longest so that hashing it takes no longer than any other.
const MIN_PASSWORD_BYTES: usize = 10;
const MAX_PASSWORD_BYTES: usize = 256;
/// Longest life of a token, in days.
const MAX_TOKEN_DAYS: u64 = 366;
/// argon2id as OWASP has it for interactive logins: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;

/// What a browser comes with to be let in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    /// The secret of a login link, or with `password` that of an invitation.
    token: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

/// Who is in, as the page sees it.
#[derive(Debug, Serialize)]
struct Me<'a> {
    account: &'a str,
    role: Role,
}

/// The name of the cookie: browsers do not tell ports apart, so the name does.
pub(super) fn cookie_name(site: &Site, secure: bool) -> String {
    let prefix = if secure { "__Host-" } else { "" };
    format!("{prefix}p2p-{}", site.addr.port())
}

/// `POST /session`
pub(super) fn log_in(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let login: Login = asked.json()?;
    let who = match login {
        Login { token: Some(token), password: None, name: None } => by_link(site, asked, &token)?,
        Login { token: Some(token), password: Some(password), name: None } => {
            by_invitation(site, asked, &token, &password)?
        }
        Login { token: None, name: Some(name), password: Some(password) } => {
            by_password(site, asked, &name, &password)?
        }
        _ => return Err(Problem::bad("`token`, `token` and `password`, or `name` and `password`")),
    };
    let session = secret();
    lock(&site.accounts).begin(&who, Secret::of(&session), asked.from, now());
    site.note(&Asked { who: Some(who.clone()), ..bare(asked) }, "logs in");
    let answer = Answer::json(&Me { account: &who.account, role: who.role }).status(StatusCode::CREATED);
    Ok(answer.with_text(SET_COOKIE, &cookie(site, asked.secure, &session, COOKIE_SECONDS)))
}

/// A request with nothing but where it is from.
fn bare(asked: &Asked) -> Asked {
    Asked {
        places: Vec::new(),
        query: Default::default(),
        headers: Default::default(),
        body: Default::default(),
        who: None,
        from: asked.from,
        secure: asked.secure,
        clock: asked.clock.clone(),
    }
}

fn cookie(site: &Site, secure: bool, value: &str, seconds: u64) -> String {
    let name = cookie_name(site, secure);
    let rest = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{rest}")
}

fn by_link(site: &Site, asked: &Asked, token: &str) -> Result<Who, Problem> {
    let came = site.also.key.as_ref().and_then(|key| lock(&site.used_tickets).come(key, token, now()));
    let mut accounts = lock(&site.accounts);
    let who = came.or_else(|| accounts.follow(Secret::of(token), now()));
    if who.is_none() {
        may_guess(accounts.may_guess("", asked.from, now()))?;
        accounts.guessed_wrong("", asked.from, now());
    }
    let remedy = "this link was used, or is older than ten minutes; `p2p web login` prints another";
    who.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "no-login", remedy))
}

fn by_invitation(site: &Site, asked: &Asked, token: &str, password: &str) -> Result<Who, Problem> {
    let token = Secret::of(token);
    check_password(password)?;
    if !lock(&site.accounts).invites(token, now()) {
        return by_link(site, asked, "");
    }
    let kept = cook(site, password)?;
    site.keeps.change(&site.accounts, |accounts| {
        let used = || Problem::new(StatusCode::FORBIDDEN, "no-login", "this invitation was used");
        accounts.choose(token, &kept, now()).ok_or_else(used)
    })
}

fn by_password(site: &Site, asked: &Asked, name: &str, password: &str) -> Result<Who, Problem> {
    may_guess(lock(&site.accounts).may_guess(name, asked.from, now()))?;
    let known = lock(&site.accounts).password(name);
    let right = match &known {
        Some((_, kept)) => tastes_of(site, password, kept),
        None => cook(site, password).map(|_| false).unwrap_or(false), // takes as long
    };
    let mut accounts = lock(&site.accounts);
    match known.filter(|_| right) {
        Some((who, _)) => {
            accounts.guessed_right(name, asked.from);
            Ok(who)
        }
        None => {
            accounts.guessed_wrong(name, asked.from, now());
            Err(Problem::new(StatusCode::FORBIDDEN, "no-login", "there is no such name with this password"))
        }
    }
}

/// A guess that is not listened to.
fn may_guess(may: Result<(), u64>) -> Result<(), Problem> {
    may.map_err(|wait| {
        let seconds = wait.div_ceil(1_000);
        let detail = format!("too many wrong guesses; try again in {seconds} s");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail).after(seconds)
    })
}

fn check_password(password: &str) -> Result<(), Problem> {
    match password.len() {
        MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES => Ok(()),
        _ => Err(Problem::bad(format!("a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes"))),
    }
}

fn argon() -> Result<Argon2<'static>, Problem> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None);
    let params = params.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// A password as it is kept. One at a time, for each takes 19 MiB.
fn cook(site: &Site, password: &str) -> Result<String, Problem> {
    let _kitchen = lock(&site.kitchen);
    let salt = blake3::hash(secret().as_bytes());
    let failed = |error: argon2::password_hash::Error| Problem::internal(error.to_string());
    let salt = SaltString::encode_b64(&salt.as_bytes()[..16]).map_err(failed)?;
    let password = &password.as_bytes()[..password.len().min(MAX_PASSWORD_BYTES)];
    Ok(argon()?.hash_password(password, &salt).map_err(failed)?.to_string())
}

/// True if this is the password that is kept so.
fn tastes_of(site: &Site, password: &str, kept: &str) -> bool {
    let _kitchen = lock(&site.kitchen);
    let Ok((argon, kept)) = argon().and_then(|argon| {
        Ok((argon, PasswordHash::new(kept).map_err(|error| Problem::internal(error.to_string()))?))
    }) else {
        return false;
    };
    password.len() <= MAX_PASSWORD_BYTES && argon.verify_password(password.as_bytes(), &kept).is_ok()
}

/// `GET /session`: who is in.
pub(super) fn me(_: &Site, asked: &Asked) -> Result<Answer, Problem> {
    match &asked.who {
        Some(who) => Ok(Answer::json(&Me { account: &who.account, role: who.role })),
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "no-login", "nobody is logged in")),
    }
}

/// `POST /ticket`: with it this session goes on at another page, when this one is gone.
pub(super) fn ticket(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let key =
        site.also.key.as_ref().ok_or_else(|| Problem::missing("this page shares no secret with others"))?;
    let who = asked.who.as_ref().filter(|who| who.session.is_some());
    let who = who.ok_or_else(|| Problem::conflict("tickets are for sessions"))?;
    let number = blake3::hash(secret().as_bytes());
    let number = number.as_bytes().first_chunk().ok_or_else(|| Problem::internal("no number"))?;
    let ticket = key.make(who, *number, now());
    Ok(Answer::json(&serde_json::json!({ "ticket": ticket })).status(StatusCode::CREATED))
}

/// `DELETE /session`
pub(super) fn log_out(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    if let Some(session) = asked.who.as_ref().and_then(|who| who.session.as_deref()) {
        lock(&site.accounts).end(session);
        site.note(asked, "logs out");
    }
    let answer = Answer::empty(StatusCode::NO_CONTENT);
    Ok(answer.with_text(SET_COOKIE, &cookie(site, asked.secure, "", 0)))
}

/// `GET /sessions`
pub(super) fn sessions(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let own = asked.who.as_ref().and_then(|who| who.session.as_deref());
    Ok(Answer::json(&serde_json::json!({ "items": lock(&site.accounts).sessions(own, now()) })))
}

/// `DELETE /sessions/{id}`
pub(super) fn end_session(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    ended(site, asked, lock(&site.accounts).end(asked.place(0)), "session")
}

fn ended(site: &Site, asked: &Asked, was_there: bool, what: &str) -> Result<Answer, Problem> {
    if !was_there {
        return Err(Problem::missing(format!("there is no such {what}")));
    }
    site.note(asked, format!("ends the {what} {}", asked.place(0)));
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `GET /tokens`
pub(super) fn tokens(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    Ok(Answer::json(&serde_json::json!({ "items": lock(&site.accounts).tokens(now()) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    scope: Role,
    days: u64,
}

/// `POST /tokens`: the answer alone has the token.
pub(super) fn add_token(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let NewToken { name, scope, days } = asked.json()?;
    check_name(&name)?;
    if !(1..=MAX_TOKEN_DAYS).contains(&days) {
        return Err(Problem::bad(format!("a token lives for 1 to {MAX_TOKEN_DAYS} days")));
    }
    let token = format!("p2p_{}", secret());
    let until = now() + days * 86_400_000;
    site.keeps.change(&site.accounts, |accounts| {
        let fits = accounts.add_token(Secret::of(&token), (&name, scope), until, now());
        fits.then_some(()).ok_or_else(|| Problem::conflict("there are too many tokens; end one first"))
    })?;
    site.note(asked, format!("makes the token {name}"));
    Ok(Answer::json(&serde_json::json!({ "token": token, "until": until })).status(StatusCode::CREATED))
}

/// `DELETE /tokens/{id}`
pub(super) fn end_token(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let was_there = site.keeps.change(&site.accounts, |accounts| Ok(accounts.end_token(asked.place(0))))?;
    ended(site, asked, was_there, "token")
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    match fits && name != super::accounts::OWNER {
        true => Ok(()),
        false => Err(Problem::bad(format!("a name has 1 to {MAX_NAME_BYTES} bytes, and `owner` is taken"))),
    }
}

/// A user as he is shown.
#[derive(Debug, Serialize)]
struct UserView {
    name: String,
    role: Role,
    /// True until he has chosen a password.
    invited: bool,
}

/// `GET /users`
pub(super) fn users(site: &Site, _: &Asked) -> Result<Answer, Problem> {
    let accounts = lock(&site.accounts);
    let view =
        |user: &User| UserView { name: user.name.clone(), role: user.role, invited: user.password.is_none() };
    let items: Vec<UserView> = accounts.users().iter().map(view).collect();
    Ok(Answer::json(&serde_json::json!({ "items": items })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: Role,
}

/// `POST /users`: the answer has a link with which the user chooses a password, once within a day.
pub(super) fn add_user(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let NewUser { name, role } = asked.json()?;
    check_name(&name)?;
    let invitation = secret();
    site.keeps.change(&site.accounts, |accounts| {
        let fits = accounts.add_user((&name, role), Secret::of(&invitation), now());
        fits.then_some(()).ok_or_else(|| Problem::conflict("there are too many users; remove one first"))
    })?;
    site.note(asked, format!("invites {name}"));
    Ok(Answer::json(&serde_json::json!({ "invitation": invitation })).status(StatusCode::CREATED))
}

/// `DELETE /users/{name}`
pub(super) fn remove_user(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let was_there = site.keeps.change(&site.accounts, |accounts| Ok(accounts.remove_user(asked.place(0))))?;
    ended(site, asked, was_there, "user")
}
