//! Rows of cells as lines in which the columns stand below each other.

/// One line for the head and one for each row, without spaces at their ends.
pub(super) fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..N)
        .map(|column| {
            let lengths = all().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String; N]| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}
