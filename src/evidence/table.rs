//! Tables of plain text.

use std::fmt;

/// Rows under a header, columns as wide as needed.
#[derive(Clone, Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    more: usize,
}

impl Table {
    /// A table with this header, which is shown in upper case.
    pub(super) fn new<const N: usize>(header: [&str; N]) -> Self {
        let header = header.iter().map(|title| title.to_ascii_uppercase()).collect();
        Self { rows: vec![header], more: 0 }
    }

    /// Adds a row.
    pub(super) fn push<const N: usize>(&mut self, row: [&str; N]) {
        self.rows.push(row.iter().map(|&cell| cell.to_owned()).collect());
    }

    /// Says how many rows there would be, in case not all are shown.
    pub(super) fn more(&mut self, all: usize) {
        self.more = all.saturating_sub(self.rows.len() - 1);
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let title = self.rows.first().and_then(|row| row.get(column));
                // A column with nothing in it is left out with its title.
                if widest == 0 { 0 } else { widest.max(title.map_or(0, String::len)) }
            })
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                line.push_str(&format!("{cell:width$}  "));
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        if self.more > 0 {
            writeln!(formatter, "and {} more", self.more)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_empty_ones_are_left_out() {
        let mut table = Table::new(["a", "empty", "b"]);
        table.push(["long", "", "x"]);
        table.push(["é", "", ""]);
        table.more(3);
        assert_eq!(table.to_string(), "A     B\nlong  x\né\nand 1 more\n");
    }
}
