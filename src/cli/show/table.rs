//! Tables for people: columns as wide as their content is on a terminal, numbers to the right.

use comfy_table::{CellAlignment, presets};

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
        self.0.add_row(cells);
    }

    /// The table, without a line end after the last row.
    pub(crate) fn render(&self) -> String {
        self.0.trim_fmt()
    }
}

/// Spaces between two columns.
const GAP: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(names: [&str; 2]) -> String {
        let mut table = Table::new([("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row([names[0].into(), "12 B".into()]);
        table.row([names[1].into(), "1 B".into()]);
        table.render()
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(rendered(["ü", "longer"]), "NAME    SIZE\nü       12 B\nlonger   1 B");
    }

    #[test]
    fn characters_count_by_their_width() {
        assert_eq!(rendered(["写真", "e\u{301}t"]), "NAME  SIZE\n写真  12 B\ne\u{301}t     1 B");
    }
}
