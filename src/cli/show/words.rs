//! Numbers as people read them: sizes, rates, times, ages, counts.

use std::time::Duration;

use bytesize::ByteSize;

use crate::cli::typed::values::Period;
pub(crate) use crate::content::shown;

/// A number of bytes for people: `1.2 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A rate for people: `1.2 GiB/s`, from bytes and the time they took.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-6);
    per_second(bytes as f64 / seconds)
}

/// The same, from bytes a second.
pub(crate) fn per_second(bytes: f64) -> String {
    format!("{}/s", size(bytes as u64))
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
    fn speaks_to_people() {
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(rate(1 << 30, Duration::from_millis(500)), "2.0 GiB/s");
        assert_eq!(elapsed(Duration::from_millis(420)), "0.42 s");
        assert_eq!(elapsed(Duration::from_micros(310)), "310 µs");
        assert_eq!(elapsed(Duration::from_secs(125)), "2m 5s");
        assert_eq!(shown("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(shown("x\u{202e}gpj.exe\u{2028}ü\u{200d}"), "x\\u{202e}gpj.exe\\u{2028}ü\u{200d}");
    }

    #[test]
    fn a_time_has_the_digits_that_matter() {
        let ms = |ms: f64| elapsed(Duration::from_secs_f64(ms / 1e3));
        assert_eq!([ms(0.9), ms(1.0), ms(99.0)], ["900 µs", "1.0 ms", "99.0 ms"]);
        assert_eq!([ms(100.0), ms(9990.0), ms(10_000.0)], ["0.10 s", "9.99 s", "10.0 s"]);
        assert_eq!([ms(99_900.0), ms(100_900.0)], ["99.9 s", "1m 40s"]);
    }

    #[test]
    fn an_age_has_its_largest_unit() {
        assert_eq!([age(0), age(119), age(120)], ["0 s", "119 s", "2 min"]);
        assert_eq!([age(7199), age(7200), age(172_799), age(172_800)], ["119 min", "2 h", "47 h", "2 d"]);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!([count(0, "file"), count(1, "file"), count(2, "file")], ["0 files", "1 file", "2 files"]);
    }
}
