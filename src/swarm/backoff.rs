//! When to try again what has failed: pauses that double, with jitter.

use std::time::Duration;

/// How often something has failed in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It has failed once more. The pause before it is tried again: `first`, and double of that with each failure up
    /// to `longest`; between half and all of it by chance, so that many do not come back at the same moment.
    pub(crate) fn next(&mut self, first: Duration, longest: Duration, rng: &mut fastrand::Rng) -> Duration {
        let doubled = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(0.5 + rng.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_half() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(5));
        let mut rng = fastrand::Rng::with_seed(1);
        let mut seen = [[Duration::MAX, Duration::ZERO]; 40];
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            for [least, most] in &mut seen {
                let pause = backoff.next(first, longest, &mut rng);
                (*least, *most) = ((*least).min(pause), (*most).max(pause));
            }
        }
        for (number, [least, most]) in seen.into_iter().enumerate() {
            let whole = Duration::from_secs([1, 2, 4].get(number).copied().unwrap_or(5));
            assert!(least >= whole / 2 && least < whole.mul_f64(0.55), "{number}: {least:?}");
            assert!(most <= whole && most > whole.mul_f64(0.95), "{number}: {most:?}");
        }
    }
}
