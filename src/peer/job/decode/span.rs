//! Columns that are decoded as one.

use crate::content::code::Column;

/// Neighbouring columns of a group of which the same shards are here and lost: they are decoded as one, which costs less.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: Column,
    pub(super) count: u32,
}

impl Span {
    pub(super) fn of(first: Column) -> Span {
        Span { first, count: 1 }
    }

    pub(super) fn last(self) -> Column {
        Column { number: self.first.number + self.count - 1, ..self.first }
    }

    /// True if the column is its next.
    pub(super) fn is_before(self, column: Column) -> bool {
        (column.group, column.number) == (self.first.group, self.first.number + self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_with_its_group() {
        let column = |group, number| Column { group, number };
        let span = Span { count: 2, ..Span::of(column(3, 4)) };
        assert_eq!(span.last(), column(3, 5));
        assert!(span.is_before(column(3, 6)));
        assert!(
            !span.is_before(column(3, 5)) && !span.is_before(column(4, 6)) && !span.is_before(column(3, 7))
        );
    }
}
