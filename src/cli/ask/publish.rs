//! `p2p publish`: puts what somebody shares on record under a name. No store promises to keep it.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::reach::client::{Client, strange};
use crate::cli::reach::locate::resolve;
use crate::cli::show::output;
use crate::cli::show::words::size;
use crate::cli::typed::published::PublishArgs;
use crate::cli::typed::sought::on_record;
use crate::cli::typed::what::{What, as_kind};
use crate::content::{Claim, FileId, Link, SafeName};
use crate::wire::{FromTracker, Name, Policy, Publish, Stored, Variant, Version};

/// `publish --json`
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    version: u32,
    id: String,
    /// Bytes of all files.
    size: u64,
    /// False if the latest version was that already.
    fresh: bool,
}

/// `p2p publish WHAT --as NAME`
pub(crate) fn publish(args: &PublishArgs) -> Result<(), Failure> {
    let what = What::parse(&args.what)?;
    let trackers = what.trackers(&args.asking.trackers.trackers);
    let (id, claim) = match said(&what) {
        Some(said) => said,
        None => agreed(&what, resolve(&what, &trackers, args.asking.wait)?)?,
    };
    let name = on_record(as_kind(&args.called, claim.tree)?)?;
    let Stored { number, fresh } = record(args, &trackers, &name, (id, claim))?;
    let line = Line {
        name: name.as_str().to_owned(),
        version: number,
        id: id.to_string(),
        size: claim.total,
        fresh,
    };
    output::answer(args.asking.json, &line, || match fresh {
        true => format!("published {name} as version {number}: {}", size(claim.total)),
        false => format!("{name} is that already, as version {number}"),
    })
}

/// What a link of a file says of it: nobody has to be there.
fn said(what: &What) -> Option<(FileId, Claim)> {
    let What::Link(Link { id, name: Some(name), size: Some(size), .. }) = what else { return None };
    (!name.is_tree()).then(|| Claim::of_file(*size)).flatten().map(|claim| (*id, claim))
}

/// What all who share it say it is. A link tells a folder from the file of its listing.
fn agreed(what: &What, mut variants: Vec<Variant>) -> Result<(FileId, Claim), Failure> {
    if let What::Link(Link { name: Some(name), .. }) = what {
        variants.retain(|variant| variant.name.ends_with('/') == name.is_tree());
    }
    let mut contents: Vec<(FileId, Claim)> =
        variants.iter().map(|variant| (variant.id, variant.claim())).collect();
    contents.sort_unstable();
    contents.dedup();
    match contents[..] {
        [one] => Ok(one),
        [] => Err(Failure::not_found(format!("nobody who shares {} is there", what.label()))),
        _ => Err(Failure::usage(format!(
            "{} may be one of {} contents, or those who have it do not agree on its size; `p2p find` lists them, a link \
             says which it is",
            what.label(),
            contents.len()
        ))),
    }
}

fn record(
    args: &PublishArgs,
    trackers: &[String],
    name: &SafeName,
    (id, claim): (FileId, Claim),
) -> Result<Stored, Failure> {
    let mut client = Client::new(trackers, args.asking.wait);
    let (who, seq) = client.change();
    let version = Version::asked_for((id, claim), Policy::NONE, "");
    let question = Publish { client: who, seq, name: Name::new(name.as_str()), version, expect: args.expect };
    match client.ask(&question.into())? {
        FromTracker::Stored(stored) => Ok(stored),
        other => Err(strange(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Exit;

    fn variant(name: &str, total: u64) -> Variant {
        Variant { total, ..Variant::sample(name) }
    }

    fn link(rest: &str) -> What {
        What::Link(format!("p2p:{}?{rest}", FileId::of(b"x")).parse().unwrap())
    }

    #[test]
    fn a_files_link_says_all_of_it_and_others_are_asked_about() {
        assert_eq!(said(&link("name=a&size=1")), Some((FileId::of(b"x"), Claim::of_file(1).unwrap())));
        for other in [link("name=a/&size=1"), link("name=a"), link("size=1")] {
            assert_eq!(said(&other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_published_is_one_content_on_which_all_agree() {
        let both = || vec![variant("d/", 5), variant("f", 1), variant("e/", 5)];
        let claim = |name: &str| agreed(&link(&format!("name={name}")), both()).map(|(_, claim)| claim.tree);
        assert_eq!((claim("x/").unwrap(), claim("x").unwrap()), (true, false));
        assert_eq!(agreed(&What::Id(FileId::of(b"x")), both()).unwrap_err().exit, Exit::Usage);
        let liars = vec![variant("d/", 5), variant("d/", 6)];
        assert_eq!(agreed(&link("name=d/"), liars).unwrap_err().exit, Exit::Usage);
        assert_eq!(agreed(&link("name=d/"), vec![variant("f", 1)]).unwrap_err().exit, Exit::NotFound);
    }
}
