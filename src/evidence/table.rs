//! Tables of plain text and of Markdown.

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

    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl Table {
    /// The widths of the columns; 0 for an empty one, which is left out with its title.
    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        (0..columns)
            .map(|column| {
                let cells = self.rows.iter().skip(1).filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let title = self.rows.first().and_then(|row| row.get(column));
                if widest == 0 { 0 } else { widest.max(title.map_or(0, String::len)) }
            })
            .collect()
    }

    /// The table for a terminal.
    pub(super) fn text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
                line.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(&format!("{}\n", line.trim_end()));
        }
        if self.more > 0 {
            text.push_str(&format!("and {} more\n", self.more));
        }
        text
    }

    /// The table for GitHub, GitLab and other readers of Markdown.
    pub(super) fn markdown(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let shown = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
            let show = |cell: &str| if number == 0 { cell.to_owned() } else { code(cell) };
            let cells: Vec<String> = shown.map(|(cell, _)| show(cell)).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
            if number == 0 {
                text.push_str(&format!("|{}\n", "---|".repeat(cells.len())));
            }
        }
        if self.more > 0 {
            text.push_str(&format!("\nand {} more\n", self.more));
        }
        text
    }
}

/// Text of a report or an image as Markdown that nobody takes for more than text: no link, no mention, no emphasis.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    // A pipe ends a cell even here, and a backtick the code.
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
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
        assert_eq!(table.text(), "A     B\nlong  x\né\nand 1 more\n");
        assert_eq!(
            table.markdown(),
            "| A | B |\n|---|---|\n| `long` | `x` |\n| `é` |  |\n\nand 1 more\n"
        );
    }

    #[test]
    fn markdown_shows_text_as_it_is() {
        assert_eq!(code("a|b `c` [d](http://e) @f"), "`a\\|b 'c' [d](http://e) @f`");
    }
}
