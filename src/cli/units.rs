//! Durations, sizes and rates as people type and read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

pub(crate) use crate::content::shown;

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

/// A number of bytes for people: `1.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A rate for people: `1.2 GiB/s`, from bytes and the time they took.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-6);
    format!("{}/s", size((bytes as f64 / seconds) as u64))
}

/// A time for people, with as many digits as matter: `310 µs`, `4.2 ms`, `3.1 s`, `2m 5s`.
pub(crate) fn elapsed(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 10.0 => format!("{seconds:.2} s"),
        seconds if seconds < 100.0 => format!("{seconds:.1} s"),
        _ => Period(Duration::from_secs(time.as_secs())).to_string(),
    }
}

/// An age in seconds for people, in its largest unit: `5 s`, `3 min`, `2 h`, `9 d`.
pub(crate) fn age(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3600, "h"), (60, "min")];
    match UNITS.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

/// `1 file`, `12 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
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
    fn what_is_shown_as_a_default_can_be_typed() {
        for bytes in [0, 5, 1_000_001, 64 << 20, 3 << 30] {
            assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
        }
        let period = Period(Duration::from_millis(1500));
        assert_eq!(period.to_string().parse(), Ok(period));
    }

    #[test]
    fn speaks_to_people() {
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(rate(1 << 30, Duration::from_millis(500)), "2.0 GiB/s");
        assert_eq!(elapsed(Duration::from_millis(420)), "0.42 s");
        assert_eq!(elapsed(Duration::from_micros(310)), "310 µs");
        assert_eq!(elapsed(Duration::from_secs(125)), "2m 5s");
        assert_eq!(shown("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(shown("x\u{202e}gpj.exe\u{2028}ü\u{200d}"), "x\\u{202e}gpj.exe\\u{2028}ü\u{200d}");
    }
}
