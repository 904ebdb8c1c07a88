//! Tables for people: columns as wide as their content is on a terminal, numbers to the right. Where a person
//! looks, what stands first in a row is shortened rather than that the row runs over the edge.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Width, presets};

/// Spaces between two columns.
const GAP: u16 = 2;
/// What is left of the first column at least, however narrow the terminal: enough to tell one name from another.
const LEAST: u16 = 24;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table<const N: usize>(comfy_table::Table);

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [(&'static str, Align); N]) -> Table<N> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_header(columns.map(|(title, _)| title));
        for (column, (_, align)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, GAP));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Table(table)
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        let mut row = Row::from(cells);
        row.max_height(1);
        self.0.add_row(row);
    }

    /// Leaves out the last column, which says nothing.
    pub(crate) fn leave_out_last(&mut self) {
        if let Some(column) = self.0.column_iter_mut().last() {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }

    /// The table in so many columns of a terminal, if there is one; without a line end after the last row. Where they are
    /// too few for all that is said, less is said: what stands last is left out.
    pub(crate) fn render(mut self, terminal: Option<u16>) -> String {
        if let Some(width) = terminal {
            self.leave_out_past(width);
        }
        if let Some(room) = terminal.and_then(|width| self.room_for_first(width)) {
            self.0.set_content_arrangement(ContentArrangement::Dynamic);
            for (place, column) in self.0.column_iter_mut().enumerate() {
                if !column.is_hidden() {
                    column.set_constraint(match place {
                        0 => ColumnConstraint::Absolute(Width::Fixed(room + GAP)),
                        _ => ColumnConstraint::ContentWidth,
                    });
                }
            }
        }
        self.0.trim_fmt()
    }

    /// Hides the last columns until those before them, with the least of the first, have room.
    fn leave_out_past(&mut self, terminal: u16) {
        let widths = self.0.column_max_content_widths();
        let mut needed = widths.first().map_or(0, |first| (*first).min(LEAST));
        for (column, width) in self.0.column_iter_mut().zip(&widths).skip(1) {
            needed = needed.saturating_add(width + GAP);
            if needed > terminal {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
    }

    /// How wide the first column may be, if it is wider than that.
    fn room_for_first(&self, terminal: u16) -> Option<u16> {
        let widths = self.0.column_max_content_widths();
        let (first, others) = widths.split_first()?;
        let seen = others.iter().zip(self.0.column_iter().skip(1)).filter(|(_, column)| !column.is_hidden());
        let taken: u16 = seen.map(|(width, _)| width + GAP).sum();
        let room = terminal.saturating_sub(taken).max(LEAST);
        (*first > room).then_some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_columns_are_few_what_stands_last_is_left_out() {
        let wide = |terminal| {
            let mut table = Table::new([("NAME", Align::Left), ("SIZE", Align::Right), ("ID", Align::Left)]);
            table.row(["0123456789".repeat(4), "12 B".into(), "4662aad9e124".into()]);
            table.render(Some(terminal))
        };
        assert_eq!(wide(44).lines().nth(1), Some("01234567890123456789012…  12 B  4662aad9e124"));
        assert_eq!(wide(43).lines().nth(1), Some("012345678901234567890123456789012345…  12 B"));
        assert_eq!(wide(20).lines().nth(1), Some("01234567890123456789012…"));
        assert_eq!(wide(20).lines().next(), Some("NAME"));
    }

    fn rendered(names: [&str; 2], terminal: Option<u16>) -> String {
        let mut table = Table::new([("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row([names[0].into(), "12 B".into()]);
        table.row([names[1].into(), "1 B".into()]);
        table.render(terminal)
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(rendered(["ü", "longer"], None), "NAME    SIZE\nü       12 B\nlonger   1 B");
    }

    #[test]
    fn characters_count_by_their_width() {
        assert_eq!(rendered(["写真", "e\u{301}t"], None), "NAME  SIZE\n写真  12 B\ne\u{301}t     1 B");
    }

    #[test]
    fn what_fits_is_as_it_is() {
        assert_eq!(rendered(["ü", "longer"], Some(12)), rendered(["ü", "longer"], None));
        let name = "123456789 123456789 1234";
        assert_eq!(rendered([name, "b"], Some(30)), rendered([name, "b"], None));
    }

    #[test]
    fn a_long_name_gives_way_to_the_edge_and_nothing_else_does() {
        let name = "0123456789".repeat(4);
        let lines = |terminal| rendered([&name, "写真".repeat(10).as_str()], Some(terminal));
        let widths = |terminal| lines(terminal).lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(lines(36).lines().nth(1), Some("01234567890123456789012345678…  12 B"));
        assert_eq!(lines(36).lines().nth(2), Some("写真写真写真写真写真写真写真…    1 B"));
        assert_eq!(widths(36), 36);
        assert_eq!(widths(30), 24 + 2 + 4, "so much is left of it");
        assert_eq!(lines(100), rendered([&name, "写真".repeat(10).as_str()], None));
    }
}
