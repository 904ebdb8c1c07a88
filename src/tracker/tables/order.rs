//! A sorted sequence of numbers whose order is known only to the caller.
//!
//! Two levels of vectors: four bytes an element, insertion moves at most one leaf. The caller keeps
//! the one promise that every question is asked with the order the elements were inserted in.

/// Most elements of a leaf: moving half of it costs less than the search before it.
const LEAF: usize = 512;

/// Numbers in the caller's order.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Order {
    /// No leaf is empty.
    leaves: Vec<Vec<u32>>,
    len: usize,
}

/// A position between elements; any change of the sequence makes it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tracker) struct Place {
    leaf: usize,
    at: usize,
}

impl Order {
    /// The place behind all elements that are `before`; those must all come first.
    pub(in crate::tracker) fn partition(&self, before: impl Fn(u32) -> bool) -> Place {
        let leaf = self.leaves.partition_point(|leaf| leaf.first().is_some_and(|first| before(*first)));
        let Some(leaf) = leaf.checked_sub(1) else {
            return Place { leaf: 0, at: 0 };
        };
        let at = self.leaves[leaf].partition_point(|element| before(*element));
        Place { leaf, at }
    }

    /// The elements from a place on.
    pub(in crate::tracker) fn from(&self, place: Place) -> impl Iterator<Item = u32> + use<'_> {
        let leaves = self.leaves.get(place.leaf..).unwrap_or_default();
        let (first, rest) = leaves
            .split_first()
            .map_or((&[][..], leaves), |(leaf, rest)| (leaf.get(place.at..).unwrap_or_default(), rest));
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// How many elements there are.
    pub(in crate::tracker) fn len(&self) -> usize {
        self.len
    }

    /// The elements in order.
    pub(in crate::tracker) fn into_vec(self) -> Vec<u32> {
        self.leaves.concat()
    }

    /// Puts an element at a place.
    pub(in crate::tracker) fn insert(&mut self, place: Place, element: u32) {
        self.len += 1;
        let Some(leaf) = self.leaves.get_mut(place.leaf) else {
            self.leaves.push(vec![element]);
            return;
        };
        if leaf.len() < LEAF {
            leaf.insert(place.at, element);
            return;
        }
        // Names often arrive sorted: behind a full leaf a new one begins, and no leaf stays half full.
        if place.at == leaf.len() {
            self.leaves.insert(place.leaf + 1, vec![element]);
            return;
        }
        let mut right = leaf.split_off(LEAF / 2);
        match place.at.checked_sub(LEAF / 2) {
            Some(at) => right.insert(at, element),
            None => leaf.insert(place.at, element),
        }
        self.leaves.insert(place.leaf + 1, right);
    }

    /// Takes out the first element at or behind a place.
    pub(in crate::tracker) fn remove(&mut self, place: Place) {
        let behind = self.leaves.get(place.leaf).is_some_and(|leaf| place.at >= leaf.len());
        let (index, at) = if behind { (place.leaf + 1, 0) } else { (place.leaf, place.at) };
        if let Some(leaf) = self.leaves.get_mut(index) {
            leaf.remove(at);
            self.len -= 1;
            if leaf.is_empty() {
                self.leaves.remove(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_a_sorted_vector() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut order, mut twin) = (Order::default(), Vec::new());
        for round in 0..20_000 {
            let value = rng.u32(..5_000);
            let place = order.partition(|element| element < value);
            let at = twin.partition_point(|element| *element < value);
            let there = order.from(place).next() == Some(value);
            assert_eq!(there, twin.get(at) == Some(&value));
            match there {
                true if round % 3 == 0 => {
                    order.remove(place);
                    twin.remove(at);
                }
                true => {}
                false => {
                    order.insert(place, value);
                    twin.insert(at, value);
                }
            }
        }
        assert_eq!(order.from(Place { leaf: 0, at: 0 }).collect::<Vec<_>>(), twin);
        for value in twin {
            order.remove(order.partition(|element| element < value));
        }
        assert!(order.leaves.is_empty() && order.len() == 0);
    }
}
