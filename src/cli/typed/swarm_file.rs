//! `swarm.toml`: what a member of a closed swarm has to know of it. Text in, value out.

use std::fmt::Write;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::api::{role_of, role_word};
use crate::content::{Endpoint, PublicKey, base32};
use crate::net::secure::{Psk, Secret};
use crate::wire::MemberRole;

/// Most trackers and keys in one file.
const MAX_ROWS: usize = 64;

/// A swarm, as its member knows it.
#[derive(Debug, Clone)]
pub(crate) struct SwarmFile {
    /// What it is called.
    pub(crate) swarm: String,
    /// What this member may do, as far as it knows.
    pub(crate) role: Option<MemberRole>,
    /// Where its trackers are, each with its public key.
    pub(crate) trackers: Vec<(String, PublicKey)>,
    /// The keys of its epochs, the newest last; never empty.
    keys: Vec<(u32, Secret)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    swarm: String,
    role: Option<String>,
    #[serde(default)]
    tracker: Vec<TrackerText>,
    key: Vec<KeyText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrackerText {
    addr: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    epoch: u32,
    secret: String,
}

impl SwarmFile {
    /// That of a swarm with one key.
    pub(crate) fn new(
        swarm: &str,
        role: MemberRole,
        trackers: Vec<(String, PublicKey)>,
        key: (u32, Secret),
    ) -> SwarmFile {
        SwarmFile { swarm: swarm.to_owned(), role: Some(role), trackers, keys: vec![key] }
    }

    /// Reads a file's text. What is wrong is said in words that show nothing of it.
    ///
    /// # Errors
    /// A sentence's end.
    pub(crate) fn parse(text: &str) -> Result<SwarmFile, String> {
        let text: Text = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            line.map_or("it is no TOML".to_owned(), |line| format!("line {line} is not as it should be"))
        })?;
        let role = text.role.as_deref().map(role_of);
        if text.tracker.len() > MAX_ROWS || text.key.len() > MAX_ROWS {
            return Err(format!("it has more than {MAX_ROWS} trackers or keys"));
        }
        let tracker = |tracker: &TrackerText| {
            let endpoint = tracker.addr.parse::<Endpoint>().ok().filter(|endpoint| endpoint.port > 0);
            let endpoint = endpoint.ok_or("an `addr` is not HOST:PORT")?.to_string();
            Ok((endpoint, tracker.key.parse().map_err(|_| "a tracker's `key` is none")?))
        };
        let key = |key: KeyText| {
            let secret = Zeroizing::new(key.secret);
            let bytes = base32::decode(&secret).and_then(|bytes| Secret::from_slice(&bytes));
            Ok((key.epoch, bytes.ok_or("a `secret` is none")?))
        };
        let trackers = text.tracker.iter().map(tracker).collect::<Result<_, &str>>()?;
        let mut keys: Vec<(u32, Secret)> = text.key.into_iter().map(key).collect::<Result<_, &str>>()?;
        keys.sort_by_key(|(epoch, _)| *epoch);
        if keys.is_empty() {
            return Err("it has no `key`".to_owned());
        }
        let role = role.map(|role| role.ok_or("its `role` is none")).transpose()?;
        Ok(SwarmFile { swarm: text.swarm, role, trackers, keys })
    }

    /// The file's text; whoever reads it is in.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let _ = writeln!(text, "# Whoever has this file is in the swarm. Keep it to yourself.");
        let _ = writeln!(text, "swarm = {}", quoted(&self.swarm));
        if let Some(role) = self.role {
            let _ = writeln!(text, "role = \"{}\"", role_word(role));
        }
        for (addr, key) in &self.trackers {
            let _ = writeln!(text, "\n[[tracker]]\naddr = {}\nkey = \"{key}\"", quoted(addr));
        }
        for (epoch, secret) in &self.keys {
            let secret = base32::encode(secret.expose());
            let _ = writeln!(text, "\n[[key]]\nepoch = {epoch}\nsecret = \"{}\"", &*secret);
        }
        text
    }

    /// The newest key: its epoch, and what it is made of.
    pub(crate) fn newest(&self) -> Option<&(u32, Secret)> {
        self.keys.last()
    }

    /// The keys of all epochs, the newest first.
    pub(crate) fn psks(&self) -> impl Iterator<Item = Psk> + '_ {
        self.keys.iter().rev().map(|(_, secret)| Psk::of_swarm(secret))
    }

    /// The same with the key of another epoch in the place of all.
    pub(crate) fn renewed(&self, role: Option<MemberRole>, key: (u32, Secret)) -> SwarmFile {
        SwarmFile { role: role.or(self.role), keys: vec![key], ..self.clone() }
    }
}

/// For the fuzzers: any text is a file that reads back, or refused in one line.
#[cfg(feature = "lab")]
pub(crate) fn check(text: &str) -> Result<(), String> {
    let file = SwarmFile::parse(text)?;
    let written = file.reveal();
    let again = SwarmFile::parse(&written)?;
    assert_eq!(*again.reveal(), *written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> SwarmFile {
        let trackers = vec![("10.0.0.5:9700".to_owned(), PublicKey([7; 32]))];
        SwarmFile::new("lab \"1\"", MemberRole::Publisher, trackers, (3, Secret::from([9; 32])))
    }

    #[test]
    fn a_file_reads_back() {
        let text = file().reveal();
        let again = SwarmFile::parse(&text).unwrap();
        assert_eq!(*again.reveal(), *text);
        assert_eq!((&*again.swarm, again.role), ("lab \"1\"", Some(MemberRole::Publisher)));
        assert_eq!(again.newest().map(|(epoch, _)| *epoch), Some(3));
    }

    #[test]
    fn the_newest_key_is_the_one_of_the_latest_epoch() {
        let two = format!(
            "{}\n[[key]]\nepoch = 2\nsecret = \"{}\"\n",
            &*file().reveal(),
            &*base32::encode(&[1; 32])
        );
        let two = SwarmFile::parse(&two).unwrap();
        assert_eq!((two.newest().map(|(epoch, _)| *epoch), two.psks().count()), (Some(3), 2));
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_of_it_shown() {
        let good = file().reveal();
        let secret = base32::encode(&[9; 32]);
        for (wrong, says) in [
            (good.replace(&*secret, "7F3K"), "a `secret` is none"),
            (good.replace("9700", "0"), "an `addr` is not HOST:PORT"),
            (good.replace("publisher", "king"), "its `role` is none"),
            (good.replace("epoch = 3", "epoch = x"), "line 10 is not as it should be"),
            (good.replace("swarm =", "swarms ="), "line 2 is not as it should be"),
            (String::new(), "line 1 is not as it should be"),
        ] {
            let said = SwarmFile::parse(&wrong).unwrap_err();
            assert_eq!(said, says, "{wrong}");
            assert!(!said.contains(&*secret));
        }
    }
}
