//! How lists are shown to people: plain columns that survive a pipe and a copy into a mail.

use std::io::{BufWriter, Write as _};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::print;
use crate::domain::{Timestamp, text::is_forbidden};

/// Rows under a header.
pub(crate) struct Rows(Table);

impl Rows {
    /// No row yet.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        Self(table)
    }

    /// Puts the numbers of these columns below each other.
    pub(crate) fn right(&mut self, columns: &[usize]) {
        for column in columns {
            if let Some(column) = self.0.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }

    /// One more row.
    pub(crate) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { clean(&cell) }));
    }

    /// One more row, as many cells as there are columns.
    pub(crate) fn push_all(&mut self, cells: Vec<String>) {
        self.0.add_row(cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { clean(&cell) }));
    }

    /// Shows the rows on stdout.
    pub(crate) fn print(mut self) -> anyhow::Result<()> {
        for column in self.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        print(&format!("{}\n", self.0.trim_fmt()))
    }
}

/// Shows data for programs on stdout.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    // Written as it is made: a long report is never held a second time, as text.
    let mut out = BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// What a peer, a file or a server wrote may hold anything; a terminal must not be told to do anything.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_forbidden(c) { '?' } else { c }).collect()
}

/// With every fingerprint cut to as much as tells it apart: whole ones are for programs.
pub(crate) fn short(text: &str) -> String {
    let cut = |word: &str| match word.get(..16) {
        Some(start) if word.len() >= 40 && word.bytes().all(|b| b.is_ascii_hexdigit()) => format!("{start}..."),
        _ => word.to_owned(),
    };
    let end = |c: char| !c.is_ascii_alphanumeric();
    text.split_inclusive(end)
        .map(|part| match part.char_indices().last() {
            Some((at, last)) if end(last) => format!("{}{last}", cut(&part[..at])),
            _ => cut(part),
        })
        .collect()
}

/// A word, or nothing.
pub(crate) fn word(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// An instant for people.
pub(crate) fn time(at: Timestamp) -> String {
    at.utc().plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_cut_short_and_nothing_else_is() {
        let print = "638a2832c5943e6d74a6cfaddf7a98f42493bdf22de10ca68ca34fc11bc5f643";
        assert_eq!(short(&format!("failed, said by signer {print}: é 550")), "failed, said by signer 638a2832c5943e6d...: é 550");
        assert_eq!(short(print), "638a2832c5943e6d...");
        let id = "delivery 01a1fd9e-1629-706a-9998-c72854ead1b2";
        assert_eq!(short(id), id);
    }

    #[test]
    fn what_a_server_wrote_cannot_command_a_terminal() {
        assert_eq!(clean("550 \u{1b}[2Jno\r\n"), "550 ?[2Jno??");
    }
}
