//! Durations and numbers of bytes as people type them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::content::Rate;
use bytesize::ByteSize;

/// A duration: `30s`, `10m`, `1h 30m`; a bare number is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Period, String> {
        // So that it can be added to any time.
        const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        match text.parse::<u32>() {
            Ok(seconds) => Ok(Period(Duration::from_secs(u64::from(seconds)))),
            Err(_) => humantime::parse_duration(text)
                .map(|period| Period(period.min(LONGEST)))
                .map_err(|_| "a duration is a number with a unit, such as 30s, 10m or 1h".into()),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// How long to wait for somebody: a duration, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    For(Duration),
    Forever,
}

impl Patience {
    /// The longest time to wait, if there is one.
    pub(crate) fn limit(self) -> Option<Duration> {
        match self {
            Patience::For(most) => Some(most),
            Patience::Forever => None,
        }
    }

    /// True once `waited` is more than enough.
    pub(crate) fn is_over(self, waited: Duration) -> bool {
        matches!(self, Patience::For(most) if waited >= most)
    }
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Patience, String> {
        match text {
            "forever" => Ok(Patience::Forever),
            text => text.parse::<Period>().map(|period| Patience::For(period.0)),
        }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Patience::Forever => f.write_str("forever"),
            Patience::For(duration) => Period(*duration).fmt(f),
        }
    }
}

/// A number of bytes, or of bytes a second: `64MiB`, `10MB`, `10MB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let amount = text.strip_suffix("/s").unwrap_or(text);
        let size: ByteSize = amount
            .parse()
            .map_err(|_| "a size is a number with a unit, such as 500KB, 64MiB or 10MB/s".to_owned())?;
        Ok(Bytes(size.as_u64()))
    }
}

/// What people type for one: `10MB/s`.
impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let Bytes(bytes) = text.parse()?;
        let none = "at a rate of 0 nothing ever arrives; without the option there is no limit, and with `none` where one is changed";
        Rate::new(bytes).ok_or_else(|| none.into())
    }
}

/// A rate that is a limit, or 0 for `none`.
pub(crate) fn limit(text: &str) -> Result<Bytes, String> {
    if text == "none" { Ok(Bytes(0)) } else { text.parse().map(|rate: Rate| Bytes(rate.get())) }
}

/// How often something happens, or how long silence is borne: a duration, but not as good as none.
pub(crate) fn interval(text: &str) -> Result<Period, String> {
    const LEAST: Duration = Duration::from_millis(100);
    match text.parse()? {
        Period(period) if period < LEAST => Err(format!("it is {} at least", Period(LEAST))),
        period => Ok(period),
    }
}

/// A number of bytes that is not 0.
pub(crate) fn some_bytes(text: &str) -> Result<Bytes, String> {
    text.parse().and_then(|bytes| if bytes == Bytes(0) { Err(NONE.into()) } else { Ok(bytes) })
}

/// A number that is not 0.
pub(crate) fn some(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it is a whole number".to_owned())?;
    if number == 0 { Err(NONE.into()) } else { Ok(number) }
}

/// What is wrong with 0.
const NONE: &str = "with 0 nothing could ever be fetched";

/// As it can be typed, without loss.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, suffix)) => write!(f, "{}{suffix}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_type() {
        assert_eq!("30".parse(), Ok(Period(Duration::from_secs(30))));
        assert_eq!("10m".parse(), Ok(Period(Duration::from_secs(600))));
        assert!("soon".parse::<Period>().is_err());
        assert_eq!("forever".parse(), Ok(Patience::Forever));
        assert_eq!("0".parse(), Ok(Patience::For(Duration::ZERO)));
        assert_eq!("10MB/s".parse(), Ok(Bytes(10_000_000)));
        assert_eq!("64MiB".parse(), Ok(Bytes(64 << 20)));
    }

    #[test]
    fn what_would_never_get_anywhere_is_refused() {
        assert_eq!("1B/s".parse().ok(), Rate::new(1));
        assert!("0".parse::<Rate>().is_err_and(|error| error.contains("there is no limit")));
        assert!("fast".parse::<Rate>().is_err());
        assert_eq!((limit("none"), limit("5B/s"), limit("0").is_err()), (Ok(Bytes(0)), Ok(Bytes(5)), true));
        assert_eq!(interval("100ms"), Ok(Period(Duration::from_millis(100))));
        assert_eq!(interval("0"), Err("it is 100ms at least".into()));
        assert_eq!((interval("99ms").is_err(), interval("soon").is_err()), (true, true));
        assert_eq!((some_bytes("1"), some_bytes("0B")), (Ok(Bytes(1)), Err(NONE.into())));
        assert_eq!((some("1"), some("0"), some("-1").is_err()), (Ok(1), Err(NONE.into()), true));
    }

    #[test]
    fn what_is_shown_as_a_default_can_be_typed() {
        for bytes in [0, 5, 1_000_001, 64 << 20, 3 << 30] {
            assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
        }
        let period = Period(Duration::from_millis(1500));
        assert_eq!(period.to_string().parse(), Ok(period));
    }
}
