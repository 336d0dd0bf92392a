//! Tables.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

use super::clean::clean;

/// A line below the header, and nothing else that only takes room.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Rows below a header, as wide as the terminal at most.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    columns_max: Option<usize>,
) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = columns_max.and_then(|columns| u16::try_from(columns).ok()) {
        table.set_width(width);
    }
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let rows = [["a.b", "1"], ["\x1b[2Jc", "2"]].map(|row| row.map(str::to_owned));
        let text = table(["topic", "n"], rows, Some(40));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(char::is_alphanumeric)).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines.iter().zip(["topic", "a.b", "[2Jc"]).all(|(line, word)| line.contains(word)), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
