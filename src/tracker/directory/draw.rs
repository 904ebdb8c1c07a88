//! Drawing by lot: a few of many, in random order. Pure: chance comes from the caller.

use fastrand::Rng;

/// Up to this many candidates a shuffle of all costs less than a walk.
const SHUFFLED: usize = 256;

/// How many are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws {
    /// Places to fill.
    pub(super) places: usize,
    /// Most candidates looked at.
    pub(super) most: usize,
}

/// Draws some of `count` candidates in random order, passing over those that `pick` refuses; those that are to come
/// `last` take the places that the others leave.
pub(super) fn draw<T>(
    rng: &mut Rng,
    count: usize,
    Draws { places, most }: Draws,
    last: impl Fn(&T) -> bool,
    pick: impl FnMut(usize) -> Option<T>,
) -> Vec<T> {
    if count <= SHUFFLED {
        let mut order: [u8; SHUFFLED] = std::array::from_fn(|nth| nth as u8);
        let order = &mut order[..count];
        rng.shuffle(order);
        let looked_at = order.iter().take(most).map(|nth| usize::from(*nth));
        return first_drawn(looked_at.filter_map(pick), places, last);
    }
    first_drawn(walk(rng, count).take(most).filter_map(pick), places, last)
}

fn first_drawn<T>(drawn: impl Iterator<Item = T>, places: usize, last: impl Fn(&T) -> bool) -> Vec<T> {
    let (mut first, mut behind) = (Vec::new(), Vec::new());
    for chosen in drawn {
        if !last(&chosen) {
            first.push(chosen);
        } else if behind.len() < places {
            behind.push(chosen);
        }
        if first.len() >= places {
            break;
        }
    }
    first.append(&mut behind);
    first.truncate(places);
    first
}

/// Numbers below `count`, each once: all in order if there are no more than `most`, else so many at random.
pub(super) fn some(rng: &mut Rng, count: usize, most: usize) -> impl Iterator<Item = usize> + use<> {
    let (all, drawn) = if count <= most { (count, None) } else { (0, Some(walk(rng, count).take(most))) };
    (0..all).chain(drawn.into_iter().flatten())
}

/// Every number below `count` once: from a random start, in random steps that share no factor with it.
fn walk(rng: &mut Rng, count: usize) -> impl Iterator<Item = usize> + use<> {
    let step = loop {
        let step = rng.usize(1..count.max(2));
        if shared_factor(step, count) == 1 {
            break step;
        }
    };
    let start = rng.usize(..count.max(1));
    (0..count).scan(start, move |at, _| {
        let here = *at;
        *at = (*at + step) % count;
        Some(here)
    })
}

fn shared_factor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { shared_factor(b, a % b) }
}

/// At most `max`, of both kinds in turn.
pub(super) fn mix<T: Copy>(one: &[T], other: &[T], max: usize) -> Vec<T> {
    let longer = one.len().max(other.len());
    let in_turn = (0..longer).flat_map(|nth| [one.get(nth), other.get(nth)]);
    in_turn.flatten().copied().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng() -> Rng {
        Rng::with_seed(5)
    }

    fn draws(places: usize) -> Draws {
        Draws { places, most: usize::MAX }
    }

    #[test]
    fn no_more_are_looked_at_than_may_be() {
        let mut rng = rng();
        for count in [SHUFFLED, SHUFFLED + 1] {
            let mut seen = 0;
            let none = draw(
                &mut rng,
                count,
                Draws { places: 9, most: 7 },
                |_| false,
                |_| {
                    seen += 1;
                    None::<usize>
                },
            );
            assert_eq!((none.len(), seen), (0, 7));
        }
    }

    #[test]
    fn a_walk_passes_everyone_once() {
        let mut rng = rng();
        for count in [1, 2, 3, 257, 1000] {
            let mut seen: Vec<usize> = walk(&mut rng, count).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(walk(&mut rng, 0).count(), 0);
    }

    #[test]
    fn whether_few_or_many_all_are_drawn_alike() {
        let mut rng = rng();
        for count in [SHUFFLED, SHUFFLED + 1] {
            let mut times = vec![0; count];
            for _ in 0..count * 20 {
                let drawn = draw(&mut rng, count, draws(10), |_| false, Some);
                assert_eq!(drawn.len(), 10);
                drawn.into_iter().for_each(|nth| times[nth] += 1);
            }
            assert!(times.iter().all(|times| (120..280).contains(times)), "about 200 each: {times:?}");
        }
    }

    #[test]
    fn who_is_refused_is_passed_over_and_the_last_take_what_is_left() {
        let mut rng = rng();
        let odd = |nth: usize| (nth % 2 == 1).then_some(nth);
        let mut drawn = draw(&mut rng, 20, draws(8), |nth| *nth > 9, odd);
        assert!(drawn[..5].iter().all(|nth| *nth < 10) && drawn[5..].iter().all(|nth| *nth > 9), "{drawn:?}");
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!((drawn.len(), &drawn[..5]), (8, &[1, 3, 5, 7, 9][..]));
        let enough = draw(&mut rng, 20, draws(3), |nth| *nth > 9, odd);
        assert!(enough.len() == 3 && enough.iter().all(|nth| *nth < 10), "{enough:?}");
    }

    #[test]
    fn some_are_all_where_there_is_room_and_others_each_time_where_there_is_not() {
        let mut rng = rng();
        assert_eq!(some(&mut rng, 4, 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let drawn: Vec<usize> = some(&mut rng, 5, 4).collect();
            assert_eq!(drawn.len(), 4);
            seen.insert(drawn);
        }
        assert!(seen.len() > 10);
    }

    #[test]
    fn both_kinds_come_in_turn_and_fill_each_others_places() {
        assert_eq!(mix(&[1, 2, 3, 4], &[9], 4), [1, 9, 2, 3]);
        assert_eq!(mix(&[1], &[7, 8, 9], 3), [1, 7, 8]);
    }
}
