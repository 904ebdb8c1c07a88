//! A request that was let in, as the functions behind the routes see it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::accounts::{Role, Who};
use super::answer::Problem;
use super::drive::Clock;

/// Items of a page that is asked for without saying how many, and the most.
const PAGE: usize = 200;
pub(super) const MAX_PAGE: usize = 1_000;

/// A request.
#[derive(Debug)]
pub(super) struct Asked {
    /// What stands in the place of each `{…}` of the route.
    pub(super) places: Vec<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) who: Option<Who>,
    /// Whose computer it is from.
    pub(super) from: IpAddr,
    /// True if a proxy says that its user came by TLS.
    pub(super) secure: bool,
    /// When an answer that comes in pieces is to be asked for the next.
    pub(super) clock: Clock,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// What is looked for.
    pub(super) q: String,
    /// By which key it is sorted, and whether the greatest comes first.
    pub(super) sort: String,
    pub(super) descending: bool,
    /// How many come before it.
    pub(super) after: usize,
    pub(super) limit: usize,
}

impl Asked {
    /// What stands in the place of a `{…}`.
    pub(super) fn place(&self, number: usize) -> &str {
        self.places.get(number).map_or("", String::as_str)
    }

    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, as what it should be.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::bad(format!("not what is wanted here: {error}")))
    }

    /// Who asks, as the log calls him.
    pub(super) fn account(&self) -> &str {
        self.who.as_ref().map_or("nobody", |who| &who.account)
    }

    /// What who asks may do.
    pub(super) fn role(&self) -> Option<Role> {
        self.who.as_ref().map(|who| who.role)
    }

    /// Which part of a list is asked for; it is sorted by `usual` if nothing is said.
    pub(super) fn part(&self, usual: &str) -> Result<Part, Problem> {
        let number = |key: &str, usual: usize| match self.value(key) {
            None | Some("") => Ok(usual),
            Some(text) => text.parse().map_err(|_| Problem::bad(format!("`{key}` is a number"))),
        };
        let sort = self.value("sort").filter(|sort| !sort.is_empty()).unwrap_or(usual);
        Ok(Part {
            q: self.value("q").unwrap_or_default().to_owned(),
            sort: sort.trim_start_matches('-').to_owned(),
            descending: sort.starts_with('-'),
            after: number("after", 0)?,
            limit: number("limit", PAGE)?.clamp(1, MAX_PAGE),
        })
    }
}

/// The parts of a path, with what is escaped in them; none if that is not UTF-8.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().ok().map(String::from);
    path.trim_start_matches('/').split('/').map(decoded).collect()
}

/// The pairs of a query; of several with one key the last counts.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decoded(k), decoded(v)))
        .collect()
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded() {
        assert_eq!(segments("/api/v1/a%2Fb").unwrap(), ["api", "v1", "a/b"]);
        assert_eq!(segments("/").unwrap(), [""]);
        assert!(segments("/%ff").is_none());
        let pairs = query("q=a%26b+c&after=7&flag&q=last");
        assert_eq!((&*pairs["q"], &*pairs["after"], &*pairs["flag"]), ("last", "7", ""));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "p2p-1=a; p2p-2=b".parse().unwrap());
        headers.append("cookie", "c=d".parse().unwrap());
        assert_eq!(cookie(&headers, "p2p-2"), Some("b"));
        assert_eq!((cookie(&headers, "c"), cookie(&headers, "p2p")), (Some("d"), None));
    }

    /// A request with this query and body, by nobody.
    fn asked(query_text: &str, body: &'static str) -> Asked {
        Asked {
            places: vec!["one".to_owned()],
            query: query(query_text),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            who: None,
            from: IpAddr::from([127, 0, 0, 1]),
            secure: false,
            clock: Clock::default(),
        }
    }

    #[test]
    fn a_part_of_a_list_is_within_bounds_and_sorted_as_is_said() {
        let part = |query_text: &str| asked(query_text, "").part("-name");
        let usual = Part { q: String::new(), sort: "name".into(), descending: true, after: 0, limit: 200 };
        for (query_text, expected) in [
            ("", usual.clone()),
            ("sort=&after=&limit=", usual.clone()),
            ("sort=size", Part { sort: "size".into(), descending: false, ..usual.clone() }),
            ("sort=-size&q=a+b", Part { sort: "size".into(), q: "a b".into(), ..usual.clone() }),
            ("after=7&limit=0", Part { after: 7, limit: 1, ..usual.clone() }),
            ("limit=1000", Part { limit: 1000, ..usual.clone() }),
            ("limit=1001", Part { limit: 1000, ..usual }),
        ] {
            assert_eq!(part(query_text), Ok(expected), "{query_text}");
        }
        for (wrong, key) in
            [("after=-1", "after"), ("after=x", "after"), ("limit=99999999999999999999", "limit")]
        {
            let problem = part(wrong).unwrap_err();
            assert_eq!((problem.status, problem.detail), (400, format!("`{key}` is a number")), "{wrong}");
        }
    }

    #[test]
    fn a_body_is_what_is_wanted_or_a_problem_says_why_not() {
        assert_eq!(asked("", "[1,2]").json::<Vec<u8>>(), Ok(vec![1, 2]));
        for wrong in ["", "[1,", "[1,256]", "{}"] {
            let problem = asked("", wrong).json::<Vec<u8>>().unwrap_err();
            assert!(
                problem.status == 400 && problem.detail.starts_with("not what is wanted here"),
                "{problem:?}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_nothing_and_nobody() {
        let asked = asked("a=1", "");
        assert_eq!((asked.place(0), asked.place(1)), ("one", ""));
        assert_eq!((asked.value("a"), asked.value("b"), asked.header("host")), (Some("1"), None, None));
        assert_eq!((asked.account(), asked.role()), ("nobody", None));
    }
}
