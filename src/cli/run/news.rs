//! A line for each transfer that is done, while a peer runs.

use std::time::{Duration, Instant};

use crate::cli::run::signals::Stop;
use crate::cli::show::words::{shown, size};
use crate::peer::{News, Peer};
use crate::say;

/// How often it is looked for news.
const LOOK: Duration = Duration::from_millis(200);

/// Tells what happens, until a signal comes, or until so many have all of what is called so.
pub(crate) fn follow(peer: &Peer, stop: &Stop, until: Option<(&str, u64)>) {
    let news = peer.news();
    let mut left = until.map(|(_, times)| times);
    while left != Some(0) && !stop.wait_until(Some(Instant::now() + LOOK)) {
        for one in news.try_iter() {
            say::note(&line(&one));
            if let (Some((wanted, _)), News::Sent { name, .. }) = (until, &one) {
                left = left.map(|left| left.saturating_sub(u64::from(name == wanted)));
            }
        }
    }
}

fn line(news: &News) -> String {
    match news {
        News::Sent { name, bytes, to, addr } => {
            format!("{} at {addr} has all of {}, {}", shown(to), shown(name), size(*bytes))
        }
        News::Fetched { name, bytes } => format!("{} is here, {}", shown(name), size(*bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_a_line() {
        let addr = std::net::IpAddr::from([10, 0, 0, 7]);
        let sent = News::Sent { name: "photos/".into(), bytes: 2048, to: "bob\n".into(), addr };
        assert_eq!(line(&sent), "bob\\n at 10.0.0.7 has all of photos/, 2.0 KiB");
        assert_eq!(line(&News::Fetched { name: "a".into(), bytes: 5 }), "a is here, 5 B");
    }
}
