//! The beginning of a list that may be long: as much of it as a page shows.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Octets that are kept.
const KEPT: usize = 8_000;

/// Keeps the beginning of what is written to any of its copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning(Arc<Mutex<Vec<u8>>>);

impl Beginning {
    /// Whole lines of it.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept).into_owned();
        if kept.len() < KEPT {
            return text;
        }
        text.rsplit_once('\n').map_or_else(String::new, |(whole, _)| format!("{whole}\n..."))
    }
}

impl Write for Beginning {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT.saturating_sub(kept.len()).min(octets.len());
        kept.extend(octets.iter().take(room));
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_ends_with_a_whole_line() {
        let mut list = Beginning::default();
        list.write_all(b"line,column,reason\n").unwrap();
        assert_eq!(list.text(), "line,column,reason\n");
        for line in 0..2_000 {
            writeln!(list, "{line},npi,is empty").unwrap();
        }
        let text = list.text();
        assert!(text.len() < KEPT + 10 && text.ends_with("is empty\n..."), "{}", &text[text.len() - 40..]);
    }
}
