//! `p2p invite`, `p2p members`, `p2p revoke` and `p2p swarm`: who is in a closed swarm, and by which key.

use serde::Serialize;

use crate::api::{Enrolled, role_word};
use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::swarm;
use crate::cli::reach::tracker;
use crate::cli::show::output;
use crate::cli::show::table::{Align, Table};
use crate::cli::show::words::{age, count, shown};
use crate::cli::typed::swarm::{
    InviteArgs, MembersArgs, RevokeArgs, RoleArgs, RotateArgs, ShowArgs, SwarmCommand,
};
use crate::cli::typed::values::Patience;
use crate::clock::since_1970;
use crate::content::{PublicKey, base32};
use crate::net::join_link::JoinLink;
use crate::net::secure::Code;
use crate::wire::{
    Common, Enter, FromTracker, Invite, Keys, Label, MemberInfo, Name, Revoke, Rotate, Standing, SwarmSecret,
};

/// Letters of a key by which people know it.
const KEY_LETTERS: usize = 8;
const NO_SWARM: &str = "this user is in no closed swarm; `p2p join LINK` joins one, `p2p tracker` makes one";

/// `invite --json`
#[derive(Debug, Serialize)]
struct InviteLine<'a> {
    link: &'a str,
    role: &'static str,
    uses: u32,
    /// Until when, in milliseconds since 1970.
    until_ms: u64,
}

/// `swarm role --json`
#[derive(Debug, Serialize)]
struct RoleLine<'a> {
    name: &'a str,
    key: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    prefix: &'a str,
}

/// `revoke --json`, `swarm rotate --json`
#[derive(Debug, Serialize)]
struct KeysLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<&'a str>,
    epoch: u32,
    grace_ms: u64,
}

/// `swarm show --json`
#[derive(Debug, Serialize)]
struct ShowLine<'a> {
    swarm: &'a str,
    role: &'static str,
    epoch: u32,
    file: String,
    key: Option<String>,
    trackers: Vec<String>,
}

/// `p2p invite`
pub(crate) fn invite(args: &InviteArgs) -> Result<(), Failure> {
    check_member()?;
    let code = Code::random().map_err(|error| Failure::other(error.to_string()))?;
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let standing = Standing { role: args.role.into(), prefix: Name::new(args.prefix.as_str()) };
    let key = SwarmSecret::new(*code.invite().key().expose());
    let valid_ms = u64::try_from(args.valid.0.as_millis()).unwrap_or(u64::MAX);
    let question = Invite { client: id, seq, key, standing, uses: args.uses, valid_ms };
    let invited = match client.ask(&question.into())? {
        FromTracker::Invited(invited) => invited,
        other => return Err(strange(&other)),
    };
    let told: Vec<String> = invited.trackers.iter().map(|address| address.to_string()).collect();
    let told = told.into_iter().filter(|address| !address.is_empty()).collect::<Vec<_>>();
    let trackers = if told.is_empty() { args.asking.trackers.trackers.clone() } else { told };
    let link = JoinLink { trackers, code }.reveal();
    let role = role_word(args.role.into());
    let line = InviteLine { link: &link, role, uses: args.uses, until_ms: invited.until_ms };
    output::answer(args.asking.json, &line, || link.to_string())
}

/// `p2p members`
pub(crate) fn members(args: &MembersArgs) -> Result<(), Failure> {
    check_member()?;
    let all = all(&args.asking.trackers.trackers, args.asking.wait)?;
    if args.asking.json {
        return all.iter().map(Enrolled::from).try_for_each(|line| output::json(&line));
    }
    let mut table = Table::new([
        ("MEMBER", Align::Left),
        ("ROLE", Align::Left),
        ("KEY", Align::Left),
        ("SINCE", Align::Right),
        ("HERE", Align::Left),
        ("BY", Align::Left),
    ]);
    for member in &all {
        let by = all.iter().find(|other| other.key == member.by).map_or("the founding", |by| &*by.name);
        let role = match (member.own, &*member.standing.prefix) {
            (true, _) => "of its".to_owned(),
            (false, "") => role_word(member.standing.role).to_owned(),
            (false, prefix) => format!("{} of {}", role_word(member.standing.role), shown(prefix)),
        };
        let here = if member.here { "yes" } else { "no" };
        table.row([shown(&member.name), role, letters(member), since(member), here.to_owned(), shown(by)]);
    }
    output::line(table.render(output::columns()).trim_end())
}

/// `p2p revoke WHO`
pub(crate) fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    check_member()?;
    let all = all(&args.asking.trackers.trackers, args.asking.wait)?;
    let member = meant(&all, &args.who)?;
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let keys = changed(client.ask(&Revoke { client: id, seq, member: member.key }.into())?)?;
    let revoked = member.key.to_string();
    let line = KeysLine { revoked: Some(&revoked), epoch: keys.epoch.number, grace_ms: 0 };
    output::answer(args.asking.json, &line, || {
        format!("{} is out; the swarm has key {} now", shown(&member.name), keys.epoch.number)
    })
}

/// `p2p swarm …`
pub(crate) fn swarm(command: &SwarmCommand) -> Result<(), Failure> {
    match command {
        SwarmCommand::Role(args) => role(args),
        SwarmCommand::Rotate(args) => rotate(args),
        SwarmCommand::Show(args) => show(args),
    }
}

fn role(args: &RoleArgs) -> Result<(), Failure> {
    check_member()?;
    let all = all(&args.asking.trackers.trackers, args.asking.wait)?;
    let (key, name) = match (meant(&all, &args.who), args.who.replace('-', "").parse::<PublicKey>()) {
        (Ok(member), _) if member.own => {
            return Err(Failure::usage(
                "that key is one of another member's, and may do what that may; `p2p members` says whose",
            ));
        }
        (Ok(member), _) => (member.key, member.name.to_string()),
        // Nobody is called so, but it is a whole key.
        (Err(_), Ok(key)) => (key, key.to_string().chars().take(KEY_LETTERS).collect()),
        (Err(failure), Err(_)) => return Err(failure),
    };
    let known = all.iter().any(|member| member.key == key);
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let standing = Standing { role: args.role.into(), prefix: Name::new(args.prefix.as_str()) };
    let called = if known { Label::default() } else { Label::new(&*name) };
    let question = Enter { client: id, seq, key, name: called, own: false, standing };
    let answer = client.ask(&question.into())?;
    if !matches!(answer, FromTracker::Common(Common::Ok)) {
        return Err(strange(&answer));
    }
    let (whose, role) = (key.to_string(), role_word(args.role.into()));
    let line = RoleLine { name: &name, key: &whose, role, prefix: &args.prefix };
    output::answer(args.asking.json, &line, || match &*args.prefix {
        "" => format!("{} is a {role} now", shown(&name)),
        prefix => format!("{} is a {role} of {} now", shown(&name), shown(prefix)),
    })
}

fn rotate(args: &RotateArgs) -> Result<(), Failure> {
    check_member()?;
    let mut client = Client::new(&args.asking.trackers.trackers, args.asking.wait);
    let (id, seq) = client.change();
    let grace_ms = u64::try_from(args.grace.0.as_millis()).unwrap_or(u64::MAX);
    let keys = changed(client.ask(&Rotate { client: id, seq, grace_ms }.into())?)?;
    let grace_ms = keys.before.first().map_or(0, |grace| grace.left_ms);
    let line = KeysLine { revoked: None, epoch: keys.epoch.number, grace_ms };
    let before = match grace_ms {
        0 => "the one before is over".to_owned(),
        _ => format!("the one before lets in for {} more", args.grace),
    };
    output::answer(args.asking.json, &line, || {
        format!("the swarm has key {} now; {before}", keys.epoch.number)
    })
}

fn show(args: &ShowArgs) -> Result<(), Failure> {
    check_member()?;
    let own = swarm::own_key().map_err(|error| Failure::other(error.to_string()))?;
    let shown = swarm::member(|path, file| {
        let (epoch, secret) = file.newest().cloned()?;
        let trackers: Vec<String> = file.trackers.iter().map(|(addr, _)| addr.clone()).collect();
        let key = own.map(|key| key.to_string());
        let line = ShowLine {
            swarm: &file.swarm,
            role: file.role.map_or("member", role_word),
            epoch,
            file: path.display().to_string(),
            key,
            trackers,
        };
        Some(output::answer(args.json, &line, || {
            let mut words = format!(
                "swarm {}, as {}, key {epoch}, at {}\nin {}\nknown by {}",
                self::shown(line.swarm),
                line.role,
                line.trackers.join(", "),
                line.file,
                line.key.as_deref().unwrap_or("nothing"),
            );
            if args.secret {
                words.push_str(&format!("\nsecret {}", &*base32::encode(secret.expose())));
            }
            words
        }))
    });
    shown.flatten().unwrap_or_else(|| Err(Failure::usage(NO_SWARM)))
}

fn check_member() -> Result<(), Failure> {
    swarm::member(|_, _| ()).ok_or_else(|| Failure::usage(NO_SWARM))
}

/// What KEYS say, which this user's tools dial with from now on.
fn changed(answer: FromTracker) -> Result<Keys, Failure> {
    match answer {
        FromTracker::Keys(keys) => {
            swarm::renewed(None, &keys.epoch);
            Ok(keys)
        }
        other => Err(strange(&other)),
    }
}

fn all(trackers: &[String], wait: Patience) -> Result<Vec<MemberInfo>, Failure> {
    tracker::connect_to_one(trackers, wait)?.members()
}

/// Who is meant by a name, a key, or its first letters.
fn meant<'a>(all: &'a [MemberInfo], who: &str) -> Result<&'a MemberInfo, Failure> {
    let begins = |member: &&MemberInfo| {
        let typed = who.replace('-', "").to_uppercase();
        typed.len() >= KEY_LETTERS && member.key.to_string().starts_with(&typed)
    };
    let named: Vec<&MemberInfo> = all.iter().filter(|member| *member.name == *who && !member.own).collect();
    let found = if named.is_empty() { all.iter().filter(begins).collect() } else { named };
    match found[..] {
        [one] => Ok(one),
        [] => {
            Err(Failure::not_found(format!("no member is called {}; `p2p members` lists them", shown(who))))
        }
        _ => Err(Failure::usage(format!(
            "{} are called {}; give the key of one: {}",
            count(found.len() as u64, "member"),
            shown(who),
            found.iter().map(|member| letters(member)).collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn letters(member: &MemberInfo) -> String {
    member.key.to_string().chars().take(KEY_LETTERS).collect()
}

fn since(member: &MemberInfo) -> String {
    let now = since_1970().as_secs();
    age(now.saturating_sub(member.since_ms / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;
    use crate::wire::MemberRole;

    fn member(key: [u8; 2], name: &str, own: bool) -> MemberInfo {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&key);
        MemberInfo {
            key: PublicKey(bytes),
            name: Label::new(name),
            standing: Standing { role: MemberRole::Reader, prefix: Name::default() },
            by: PublicKey([0; 32]),
            own,
            since_ms: 0,
            here: false,
        }
    }

    #[test]
    fn a_member_is_meant_by_its_name_or_the_first_letters_of_its_key() {
        let all = [
            member([1, 0], "ann", false),
            member([2, 0], "ann@lab", true),
            member([3, 0], "bob", false),
            member([4, 0], "bob", false),
            member([4, 1], "zoe", false),
        ];
        let key = |nth: usize| all[nth].key.to_string();
        let plain = |nth: usize| key(nth).replace('-', "");
        for (who, nth) in [
            ("ann".to_owned(), 0),
            ("zoe".to_owned(), 4),
            (key(3), 3),
            (plain(2)[..KEY_LETTERS].to_owned(), 2),
            (plain(1)[..KEY_LETTERS].to_lowercase(), 1), // a key of a member's own, which has no name that counts
            (format!("{}-{}", &plain(0)[..4], &plain(0)[4..KEY_LETTERS]), 0),
        ] {
            assert_eq!(meant(&all, &who).unwrap().key, all[nth].key, "{who}");
        }
        for (who, exit, says) in [
            ("ann@lab".to_owned(), Exit::NotFound, "no member is called ann@lab"),
            (plain(0)[..KEY_LETTERS - 1].to_owned(), Exit::NotFound, "no member is called"),
            ("eva\n".to_owned(), Exit::NotFound, "no member is called eva\\n"),
            ("bob".to_owned(), Exit::Usage, "2 members are called bob; give the key of one"),
        ] {
            let failure = meant(&all, &who).unwrap_err();
            assert_eq!(failure.exit, exit, "{who}");
            assert!(failure.to_string().starts_with(says), "{failure}");
        }
        let told = meant(&all, "bob").unwrap_err().to_string();
        assert!(told.ends_with(&format!("{}, {}", letters(&all[2]), letters(&all[3]))), "{told}");
    }

    #[test]
    fn who_is_in_no_swarm_is_told_how_to_get_into_one() {
        assert_eq!(check_member().unwrap_err().to_string(), NO_SWARM);
        let other = changed(Common::Ok.into()).unwrap_err();
        assert_ne!(other.exit, Exit::Usage);
    }
}
