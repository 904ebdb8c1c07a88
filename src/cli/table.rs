//! Tables for people: columns as wide as their content, numbers to the right.

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [(&'static str, Align); N]) -> Table<N> {
        Table { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The table, without a line end after the last row.
    pub(super) fn render(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].0.len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let heading = self.columns.map(|(title, _)| title.to_owned());
        let lines = std::iter::once(&heading).chain(&self.rows).map(|row| self.line(row, &widths));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let cell = |((text, width), (_, align)): ((&String, &usize), &(_, Align))| match align {
            Align::Left => format!("{text:<width$}"),
            Align::Right => format!("{text:>width$}"),
        };
        let cells: Vec<_> = row.iter().zip(widths).zip(&self.columns).map(cell).collect();
        cells.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new([("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row(["ü".into(), "12 B".into()]);
        table.row(["longer".into(), "1 B".into()]);
        assert_eq!(table.render(), "NAME    SIZE\nü       12 B\nlonger   1 B");
    }
}
