//! Who is in the closed swarm of a tracker: its members, invites, and who is put out. All of it happens by word of the
//! swarm's first admin, who owns the tracker; which account asked for it is among the changes that the page lists.

use std::time::Duration;

use hyper::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;
use qrcode::types::QrError;
use serde::Deserialize;

use super::answer::{Answer, Problem};
use super::request::Asked;
use super::site::Site;
use super::swarm::{self, Order, strange};
use crate::api::{Enrolled, role_of};
use crate::content::PublicKey;
use crate::net::join_link::JoinLink;
use crate::net::secure::Code;
use crate::wire::{
    ClientId, Common, Enter, FromTracker, GetMembers, Invite, Label, Name, Revoke, Standing, SwarmSecret,
    limits,
};

/// Members that are looked at for one list.
const MAX_MEMBERS: usize = 20_000;
/// How many may join by an invite, at most.
const MAX_USES: u32 = 1_000;
/// For how long they may, in hours.
const MAX_HOURS: u64 = 366 * 24;
/// Least width of the picture of a link, in points.
const PICTURE: u32 = 240;

/// `GET /members`
pub(super) fn members(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let part = asked.part("name")?;
    let (mut all, more) = list(site)?;
    all.retain(|member| swarm::has(&member.name, &part.q) || swarm::has(&member.key, &part.q));
    let orders: [Order<'_, Enrolled>; 4] = [
        ("name", |a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key))),
        ("role", |a, b| (&a.role, &a.key).cmp(&(&b.role, &b.key))),
        ("since", |a, b| (a.since_ms, &a.key).cmp(&(b.since_ms, &b.key))),
        ("here", |a, b| (a.here, &a.name).cmp(&(b.here, &b.name))),
    ];
    swarm::page(&all, &part, more, &orders)
}

fn list(site: &Site) -> Result<(Vec<Enrolled>, bool), Problem> {
    let (mut all, mut after) = (Vec::new(), PublicKey::NONE);
    loop {
        let question = GetMembers { after, limit: limits::MAX_PAGE_MEMBERS as u16 };
        let FromTracker::Members(page) = site.ask_as_admin(question)? else { return Err(strange()) };
        all.extend(page.members.iter().map(Enrolled::from));
        match page.members.last().map(|member| member.key) {
            Some(last) if page.more && last > after && all.len() < MAX_MEMBERS => after = last,
            last => return Ok((all, page.more && last.is_some())),
        }
    }
}

/// What a member may do from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    role: String,
    /// How the names begin that it may give; as before, if nothing is said.
    prefix: Option<String>,
}

fn standing(role: &str, prefix: &str) -> Result<Standing, Problem> {
    let number = role_of(role);
    let role = number.ok_or_else(|| Problem::bad("a role is reader, publisher, admin or tracker"))?;
    if prefix.len() > limits::MAX_NAME_BYTES {
        return Err(Problem::bad("no name begins with so much"));
    }
    Ok(Standing { role, prefix: Name::new(prefix) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    role: String,
    #[serde(default)]
    prefix: String,
    uses: u32,
    hours: u64,
}

/// `POST /invites`: the answer alone has the link, and a picture of it.
pub(super) fn invite(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let NewInvite { role, prefix, uses, hours } = asked.json()?;
    if !(1..=MAX_USES).contains(&uses) || !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad(format!(
            "1 to {MAX_USES} join by an invite, within 1 to {MAX_HOURS} hours"
        )));
    }
    let standing = standing(&role, &prefix)?;
    let code = Code::random().map_err(|error| Problem::internal(error.to_string()))?;
    let key = SwarmSecret::new(*code.invite().key().expose());
    let valid_ms = Duration::from_secs(hours * 3_600).as_millis() as u64;
    let question = Invite { client: ClientId::random(), seq: 1, key, standing, uses, valid_ms };
    let FromTracker::Invited(invited) = site.ask_as_admin(question)? else { return Err(strange()) };
    let told = invited.trackers.iter().map(|address| address.to_string());
    let trackers: Vec<String> = told.filter(|address| !address.is_empty()).collect();
    if trackers.is_empty() {
        let why = "this tracker does not know where others find it; start it with --advertise HOST";
        return Err(Problem::conflict(why));
    }
    let link = JoinLink { trackers, code }.reveal();
    let picture = picture(&link).map_err(|error| Problem::internal(error.to_string()))?;
    site.note(asked, format!("invites {uses} to join as {role}, within {hours} h"));
    let made = serde_json::json!({
        "link": &*link, "role": role, "uses": uses, "until_ms": invited.until_ms, "picture": picture,
    });
    Ok(Answer::json(&made).status(StatusCode::CREATED))
}

/// A QR code of a link, as SVG.
fn picture(link: &str) -> Result<String, QrError> {
    let code = QrCode::new(link)?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(PICTURE, PICTURE).build())
}

/// The key in the path.
fn key(asked: &Asked) -> Result<PublicKey, Problem> {
    let key: Result<PublicKey, _> = asked.place(0).parse();
    key.map_err(|_| Problem::bad("a member is named by its whole key"))
}

/// The member of the key in the path.
fn member(site: &Site, asked: &Asked) -> Result<Enrolled, Problem> {
    let found = list(site)?.0.into_iter().find(|member| member.key == asked.place(0));
    found.ok_or_else(|| Problem::missing("no member has this key"))
}

/// `PATCH /members/{key}`
pub(super) fn set_role(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (Wish { role, prefix }, key) = (asked.json()?, key(asked)?);
    let member = member(site, asked)?;
    if member.own {
        return Err(Problem::conflict("that key is one of another member's, and may do what that may"));
    }
    let standing = standing(&role, &prefix.unwrap_or(member.prefix))?;
    let name = Label::default(); // as before
    let question = Enter { client: ClientId::random(), seq: 1, key, name, own: false, standing };
    let FromTracker::Common(Common::Ok) = site.ask_as_admin(question)? else { return Err(strange()) };
    site.note(asked, format!("makes {} a {role}", member.name));
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /members/{key}`
pub(super) fn revoke(site: &Site, asked: &Asked) -> Result<Answer, Problem> {
    let (key, member) = (key(asked)?, member(site, asked)?);
    let question = Revoke { client: ClientId::random(), seq: 1, member: key };
    let FromTracker::Keys(_) = site.ask_as_admin(question)? else { return Err(strange()) };
    site.note(asked, format!("puts {} out of the swarm", member.name));
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_of_the_longest_link_is_a_drawing_and_nothing_else() {
        let addresses: Vec<String> =
            (1..=16).map(|number| format!("tracker-{number}.example.org:9700")).collect();
        let picture = picture(&format!("p2p-join:{}/CODE", addresses.join(","))).unwrap();
        assert!(picture.starts_with("<?xml") && picture.contains("<svg") && !picture.contains("script"));
    }

    #[test]
    fn a_role_is_one_of_four() {
        assert_eq!(&*standing("publisher", "a/").unwrap().prefix, "a/");
        assert!(standing("owner", "a/").is_err());
    }
}
