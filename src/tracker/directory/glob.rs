//! Shell patterns over names, in time linear in the name whatever the pattern.
//!
//! All ways to match are followed at once, one bit each, so that no pattern from outside can make
//! the matcher try and fail for long.

/// A pattern: `*` is any run of characters, also across `/`; `?` is one character.
#[derive(Debug)]
pub struct Glob {
    /// What every match begins with.
    prefix: String,
    /// For each byte, the tokens that it matches.
    matches: Vec<Bits>,
    /// Tokens with a star before them.
    stars: Bits,
    /// Places behind a `?`: the rest of a character's bytes is swallowed there.
    behind_any: Bits,
    tokens: usize,
}

type Bits = Vec<u64>;

impl Glob {
    /// Reads a pattern; one without `*` and `?` matches every name that it is a part of.
    pub fn new(pattern: &str) -> Glob {
        let wild = |c| c == '*' || c == '?';
        match pattern.find(wild) {
            Some(prefix) => Glob::compile(&pattern[..prefix], pattern),
            None => Glob::compile("", &format!("*{pattern}*")),
        }
    }

    fn compile(prefix: &str, pattern: &str) -> Glob {
        let tokens = pattern.bytes().filter(|byte| *byte != b'*').count();
        let empty: Bits = vec![0; tokens / 64 + 1];
        let (mut stars, mut behind_any) = (empty.clone(), empty.clone());
        let mut matches = vec![empty; 256];
        let mut at = 0;
        for token in pattern.bytes() {
            match token {
                b'*' => set(&mut stars, at),
                b'?' => {
                    let starts = (0..=u8::MAX).filter(|byte| !continues(*byte));
                    starts.for_each(|byte| set(&mut matches[usize::from(byte)], at));
                    set(&mut behind_any, at + 1);
                }
                byte => set(&mut matches[usize::from(byte)], at),
            }
            at += usize::from(token != b'*');
        }
        Glob { prefix: prefix.to_owned(), matches, stars, behind_any, tokens }
    }

    /// Machine words looked at for each byte of a name.
    pub fn words(&self) -> usize {
        self.stars.len()
    }

    /// What every matching name begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// True if the whole name matches.
    pub fn is_match(&self, name: &[u8]) -> bool {
        // Bit i of `reached`: the bytes so far can be matched by the tokens before token i.
        let mut reached: Bits = vec![0; self.stars.len()];
        set(&mut reached, 0);
        for byte in name {
            let matches = &self.matches[usize::from(*byte)];
            let mut carry = 0;
            for (word, state) in reached.iter_mut().enumerate() {
                let step = *state & matches[word];
                let stay = *state & self.stars[word];
                let swallow = if continues(*byte) { *state & self.behind_any[word] } else { 0 };
                *state = (step << 1 | carry) | stay | swallow;
                carry = step >> 63;
            }
        }
        reached[self.tokens / 64] >> (self.tokens % 64) & 1 == 1
    }
}

fn set(bits: &mut Bits, at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}

/// True for all bytes of a character but its first.
fn continues(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stupid version: tries everything.
    fn twin(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                twin(rest, name) || name.split_first().is_some_and(|(_, tail)| twin(pattern, tail))
            }
            (Some(('?', rest)), Some((_, tail))) => twin(rest, tail),
            (Some((literal, rest)), Some((c, tail))) => literal == c && twin(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn agrees_with_the_stupid_version() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..50_000 {
            let mut text = |letters: &[char], most| -> Vec<char> {
                (0..rng.usize(..most)).map(|_| letters[rng.usize(..letters.len())]).collect()
            };
            let (mut pattern, name) = (text(&['a', 'b', 'é', '*', '?'], 7), text(&['a', 'b', 'é', '/'], 9));
            pattern.push('*');
            let as_text = |chars: &[char]| chars.iter().collect::<String>();
            let found = Glob::new(&as_text(&pattern)).is_match(as_text(&name).as_bytes());
            assert_eq!(found, twin(&pattern, &name), "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn a_plain_pattern_is_a_part() {
        assert!(Glob::new("b/c").is_match(b"a/b/cd"));
        assert!(Glob::new("").is_match(b"anything"));
        assert!(!Glob::new("B").is_match(b"abc"));
        assert!(!Glob::new("?").is_match(b"ab"));
    }

    #[test]
    fn long_patterns_cross_words() {
        let long = "x".repeat(200);
        assert!(Glob::new(&format!("{long}*?")).is_match(format!("{long}yz").as_bytes()));
        assert!(!Glob::new(&format!("{long}*?")).is_match(long.as_bytes()));
        assert_eq!(Glob::new("photos/*.jpg").prefix(), "photos/");
    }

    #[test]
    fn the_work_grows_with_the_pattern() {
        let words = |tokens: usize| Glob::new(&format!("{}*", "x".repeat(tokens))).words();
        assert_eq!([0, 1, 63, 64, 200].map(words), [1, 1, 1, 2, 4]);
    }
}
