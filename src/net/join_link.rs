//! `p2p-join:HOST:PORT,…/CODE`: where a tracker of a closed swarm is, and the secret by which somebody joins there.

use zeroize::Zeroizing;

use super::secure::Code;
use crate::content::Endpoint;

const SCHEME: &str = "p2p-join:";
/// Most addresses in a link, and most bytes of one: nobody hands out longer ones.
const MAX_ADDRESSES: usize = 16;
const MAX_BYTES: usize = 8 << 10;
/// Before the key of one share, at the end of the link of what is shared.
const SHARE_KEY: &str = "#s=";

/// What somebody joins by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinLink {
    /// Where trackers are, `HOST:PORT`.
    pub(crate) trackers: Vec<String>,
    /// The secret of the invite.
    pub(crate) code: Code,
}

/// A text that is no such link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoJoinLink {
    /// It does not begin like one.
    #[error("a join link is `{SCHEME}HOST:PORT/CODE`; `p2p invite` prints one, on a machine of an admin")]
    Scheme,
    /// Its addresses are none.
    #[error("an address in the join link is not HOST:PORT")]
    Address,
    /// Its code is none.
    #[error("the code of the join link is mistyped, or not all of it is here")]
    Code,
    /// What stands for the key of a share is none.
    #[error("the key behind `{SHARE_KEY}` in the link is mistyped, or not all of it is here")]
    ShareKey,
}

impl JoinLink {
    /// Reads a link as it was pasted.
    pub(crate) fn parse(text: &str) -> Result<JoinLink, NoJoinLink> {
        let rest = text.trim().strip_prefix(SCHEME).filter(|rest| rest.len() <= MAX_BYTES);
        let (addresses, code) = rest.and_then(|rest| rest.rsplit_once('/')).ok_or(NoJoinLink::Scheme)?;
        let endpoint = |text: &str| text.parse::<Endpoint>().ok().filter(|endpoint| endpoint.port > 0);
        let trackers: Option<Vec<String>> =
            addresses.split(',').map(|text| endpoint(text).map(|endpoint| endpoint.to_string())).collect();
        let trackers = trackers.filter(|trackers| trackers.len() <= MAX_ADDRESSES);
        let code = Code::parse(code).ok_or(NoJoinLink::Code)?;
        Ok(JoinLink { trackers: trackers.ok_or(NoJoinLink::Address)?, code })
    }

    /// As it is pasted; whoever reads it can join.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SCHEME}{}/{}", self.trackers.join(","), &*self.code.reveal()))
    }
}

/// The link of what is shared, without the key in its fragment, and that.
///
/// # Errors
/// There is a fragment, and no key in it.
pub(crate) fn without_share_key(link: &str) -> Result<(&str, Option<Code>), NoJoinLink> {
    match link.split_once(SHARE_KEY) {
        Some((link, key)) => Ok((link, Some(Code::parse(key.trim()).ok_or(NoJoinLink::ShareKey)?))),
        None => Ok((link, None)),
    }
}

/// The link with the key of the share in its fragment.
pub(crate) fn with_share_key(link: &str, code: &Code) -> Zeroizing<String> {
    Zeroizing::new(format!("{link}{SHARE_KEY}{}", &*code.reveal()))
}

/// For the fuzzers: any text is a link that reads back, or refused.
#[cfg(feature = "lab")]
pub(crate) fn check(text: &str) -> Result<(), String> {
    let _ = without_share_key(text);
    let link = JoinLink::parse(text).map_err(|error| error.to_string())?;
    assert_eq!(JoinLink::parse(&link.reveal()), Ok(link));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(addresses: &str) -> Result<JoinLink, NoJoinLink> {
        JoinLink::parse(&format!("p2p-join:{addresses}/{}", &*Code::random().unwrap().reveal()))
    }

    #[test]
    fn a_join_link_reads_back() {
        let link = link("10.0.0.5:9700,[::1]:9,lab:1").unwrap();
        assert_eq!(link.trackers, ["10.0.0.5:9700", "[::1]:9", "lab:1"]);
        assert_eq!(JoinLink::parse(&format!("  {}\n", &*link.reveal())), Ok(link));
    }

    #[test]
    fn what_is_none_is_told_what_is_wrong_with_it() {
        assert_eq!(JoinLink::parse("10.0.0.5:9700"), Err(NoJoinLink::Scheme));
        assert_eq!(JoinLink::parse("p2p-join:10.0.0.5:9700"), Err(NoJoinLink::Scheme));
        assert_eq!(JoinLink::parse("p2p-join:10.0.0.5:9700/7F3K"), Err(NoJoinLink::Code));
        for addresses in ["", "lab", "lab:0", "lab:1,", "l b:1", &["lab:1"; 17].join(",")] {
            assert_eq!(link(addresses), Err(NoJoinLink::Address), "{addresses}");
        }
    }

    #[test]
    fn the_key_of_a_share_stands_in_the_fragment() {
        let code = Code::random().unwrap();
        let whole = with_share_key("p2p:abc?name=x", &code);
        assert_eq!(without_share_key(&whole), Ok(("p2p:abc?name=x", Some(code))));
        assert_eq!(without_share_key("p2p:abc"), Ok(("p2p:abc", None)));
        assert_eq!(without_share_key("p2p:abc#s=7"), Err(NoJoinLink::ShareKey));
    }
}
