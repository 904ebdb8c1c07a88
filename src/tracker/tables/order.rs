//! A sorted sequence of small values whose order is known only to the caller.
//!
//! Two levels of vectors: no bytes beside the elements' own, insertion moves at most one leaf. The caller keeps
//! the one promise that every question is asked with the order the elements were inserted in.

/// Most elements of a leaf: moving half of it costs less than the search before it.
const LEAF: usize = 512;

/// Values in the caller's order.
#[derive(Debug)]
pub(crate) struct Order<T> {
    /// No leaf is empty.
    leaves: Vec<Vec<T>>,
    len: usize,
}

/// A position between elements; any change of the sequence makes it void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    leaf: usize,
    at: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Order<T> {
        Order { leaves: Vec::new(), len: 0 }
    }
}

impl<T: Copy> Order<T> {
    /// The place behind all elements that are `before`; those must all come first.
    pub(crate) fn partition(&self, before: impl Fn(T) -> bool) -> Place {
        let leaf = self.leaves.partition_point(|leaf| leaf.first().is_some_and(|first| before(*first)));
        let Some(leaf) = leaf.checked_sub(1) else {
            return Place { leaf: 0, at: 0 };
        };
        let at = self.leaves[leaf].partition_point(|element| before(*element));
        Place { leaf, at }
    }

    /// The elements from a place on.
    pub(crate) fn from(&self, place: Place) -> impl Iterator<Item = T> + use<'_, T> {
        let leaves = self.leaves.get(place.leaf..).unwrap_or_default();
        let (first, rest) = leaves
            .split_first()
            .map_or((&[][..], leaves), |(leaf, rest)| (leaf.get(place.at..).unwrap_or_default(), rest));
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// The element just before a place.
    pub(crate) fn before(&self, place: Place) -> Option<T> {
        let leaf = |leaf: usize| self.leaves.get(leaf);
        match place.at.checked_sub(1) {
            Some(at) => leaf(place.leaf)?.get(at).copied(),
            None => leaf(place.leaf.checked_sub(1)?)?.last().copied(),
        }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The elements in order.
    pub(crate) fn into_vec(self) -> Vec<T> {
        self.leaves.concat()
    }

    /// Puts an element at a place.
    pub(crate) fn insert(&mut self, place: Place, element: T) {
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
    pub(crate) fn remove(&mut self, place: Place) {
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

impl<T: Copy + Ord> Order<T> {
    /// Where an element is, or else where it would be, if the caller's order is its own.
    pub(crate) fn search(&self, element: T) -> Result<Place, Place> {
        let place = self.partition(|other| other < element);
        if self.from(place).next() == Some(element) { Ok(place) } else { Err(place) }
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
            match (order.search(value), twin.binary_search(&value)) {
                (Ok(place), Ok(at)) if round % 3 == 0 => {
                    order.remove(place);
                    twin.remove(at);
                }
                (Ok(_), Ok(_)) => {}
                (Err(place), Err(at)) => {
                    order.insert(place, value);
                    twin.insert(at, value);
                }
                differ => panic!("{value}: {differ:?}"),
            }
            assert_eq!(order.len(), twin.len());
            assert!(order.leaves.iter().all(|leaf| !leaf.is_empty() && leaf.len() <= LEAF));
        }
        assert_eq!(order.from(Place { leaf: 0, at: 0 }).collect::<Vec<_>>(), twin);
        for value in twin {
            order.remove(order.partition(|element| element < value));
        }
        assert!(order.leaves.is_empty() && order.len() == 0);
    }

    #[test]
    fn what_arrives_sorted_fills_its_leaves() {
        let mut order = Order::default();
        for value in 0..3 * LEAF as u32 {
            let end = order.partition(|_| true);
            order.insert(end, value);
        }
        assert_eq!(order.leaves.iter().map(Vec::len).collect::<Vec<_>>(), [LEAF; 3]);
        assert_eq!(order.into_vec(), (0..3 * LEAF as u32).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_counted_across_leaves() {
        let mut order = Order::default();
        let many = 3 * LEAF as u32;
        for value in 0..many {
            let end = order.partition(|_| true);
            order.insert(end, value);
        }
        let place = |value: u32| order.partition(|element| element < value);
        assert!((1..=many).all(|value| order.before(place(value)) == Some(value - 1)));
        assert_eq!(order.before(place(0)), None);
    }
}
