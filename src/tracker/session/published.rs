//! What a tracker answers about published names, from its records, and which command a change of them is.

use crate::content::{SafeName, shown};
use crate::tracker::recorder::Unrecorded;
use crate::tracker::records::{self, Applied, Command, Outcome, Records, Refused};
use crate::wire::{self, Common, ErrorCode, FromTracker, List, Variant, Version, limits};

/// Bytes of versions in one answer: with one more it is in a frame.
const PAGE_BYTES: usize = limits::MAX_FRAME_BYTES / 2;
/// Bytes of a version beside its publisher's name.
const VERSION_BYTES: usize = 4 + 32 + 8 + 8 + 4 + 2 + 32 + 8 + 2;

/// The name of a request.
fn name_of(name: &wire::Name) -> Result<SafeName, Common> {
    SafeName::new(&**name)
        .map_err(|error| Common::error(ErrorCode::BadName, format!("`{}` cannot be: {error}", shown(name))))
}

/// The version of a name that was asked for, if there is one.
pub(super) fn resolve(records: &Records, message: &wire::Resolve) -> Result<FromTracker, Common> {
    let name = name_of(&message.name)?;
    let version = records.version(name.as_str(), message.number).cloned();
    Ok(wire::Resolved { versions: List::new(version.into_iter().collect()) }.into())
}

/// What is published under a name, with those holders that were found of its id.
pub(super) fn variant(name: &str, version: &Version, found: Vec<Variant>) -> Variant {
    let claim = version.claim(name);
    let held = found.into_iter().find(|variant| variant.claim() == claim);
    let nobody = Variant {
        name: wire::Name::default(),
        id: version.id,
        size: version.size,
        total: version.total,
        chunks: version.chunks,
        seeders: 0,
        leechers: 0,
        original: true,
        agreed: true,
        modified: version.stamp_ms / 1000,
        version: 0,
        code: version.policy.coding(),
        holders: List::default(),
    };
    let held = held.unwrap_or(nobody);
    Variant { name: wire::Name::new(name), original: true, agreed: true, version: version.number, ..held }
}

/// Versions of a name, the latest first.
pub(super) fn versions(records: &Records, message: &wire::GetVersions) -> Result<FromTracker, Common> {
    let name = name_of(&message.name)?;
    let all = records.versions(name.as_str());
    let before = if message.before == 0 { u32::MAX } else { message.before };
    let mut left = all.iter().rev().skip_while(|version| version.number >= before).peekable();
    let limit = usize::from(message.limit).clamp(1, limits::MAX_RECORDS);
    let (mut page, mut bytes): (Vec<Version>, usize) = (Vec::new(), 0);
    while let Some(version) = left.next_if(|_| page.len() < limit && bytes < PAGE_BYTES) {
        bytes += VERSION_BYTES + version.publisher.len();
        page.push(version.clone());
    }
    Ok(wire::Versions { versions: List::new(page), more: left.peek().is_some() }.into())
}

/// The command that publishes what no store needs to have.
pub(super) fn publish(message: wire::Publish) -> Result<Command, Common> {
    let name = checked(&message.name, &message.version)?;
    let wire::Publish { client, seq, version, expect, .. } = message;
    if version.policy.promises() {
        let detail = "stores keep only what they are asked to by STORE";
        return Err(Common::error(ErrorCode::Malformed, detail));
    }
    Ok(Command::Publish(records::Publish { client, seq, name, version, expect }))
}

/// The name of what is to be published, if it and what is claimed of the version can be.
pub(super) fn checked(name: &wire::Name, version: &Version) -> Result<SafeName, Common> {
    let name = name_of(name)?;
    check(&name, version)?;
    Ok(name)
}

/// Whether what is claimed of a version can be true of something with this name.
fn check(name: &SafeName, version: &Version) -> Result<(), Common> {
    match version.is_possible(name.as_str()) {
        true => Ok(()),
        false => Err(Common::error(
            ErrorCode::Malformed,
            format!("what is said of {name} cannot be: its chunks, size and id do not go together"),
        )),
    }
}

/// The command that takes versions away.
pub(super) fn remove(message: &wire::Remove) -> Result<Command, Common> {
    let wire::Remove { client, seq, number, .. } = *message;
    Ok(Command::Remove(records::Remove { client, seq, name: name_of(&message.name)?, number }))
}

/// The command that takes in what a store remembers.
pub(super) fn import(message: wire::Records) -> Command {
    Command::Import(records::Import { list: message.published })
}

/// The answer that tells what came of a command.
pub(super) fn recorded(applied: Result<Applied, Unrecorded>) -> FromTracker {
    match applied.map(|applied| applied.outcome) {
        Ok(Outcome::Published { number, fresh }) => wire::Stored { number, fresh }.into(),
        Ok(Outcome::Removed(count)) => wire::Removed { count }.into(),
        Ok(
            Outcome::Imported(_)
            | Outcome::Started(_)
            | Outcome::Members
            | Outcome::Rotated(_)
            | Outcome::Noted,
        ) => Common::Ok.into(),
        Ok(Outcome::Refused(why)) => refused(why).into(),
        Err(Unrecorded::Stopping) => {
            Common::error(ErrorCode::Stopping, Unrecorded::Stopping.to_string()).into()
        }
        Err(why @ (Unrecorded::NotLeader | Unrecorded::Unknown | Unrecorded::Late)) => {
            Common::error(ErrorCode::NoQuorum, why.to_string()).into()
        }
        Err(failed) => Common::error(ErrorCode::Internal, failed.to_string()).into(),
    }
}

fn refused(why: Refused) -> Common {
    let code = match why {
        Refused::Conflict { .. } | Refused::Late | Refused::Last => ErrorCode::Conflict,
        Refused::NoName
        | Refused::NoVersion(_)
        | Refused::NoMember
        | Refused::NoStore
        | Refused::NoLostNode => ErrorCode::NotFound,
        Refused::Over => ErrorCode::Over,
        Refused::TooManyVersions | Refused::Full => ErrorCode::Limit,
        Refused::Open | Refused::NotAdmin | Refused::NotYours | Refused::NoInvite => ErrorCode::NotAllowed,
        Refused::Revoked => ErrorCode::Revoked,
    };
    Common::error(code, why.to_string())
}

#[cfg(test)]
mod tests;
