//! Header-like fields as they stand in the machine-readable part of a notice, read as generously as they are written.

/// Most fields read of one part: more is no notice but an attack.
const MOST: usize = 2_000;
/// Longest value kept, in characters.
const LONGEST: usize = 1_000;

/// Fields in order, names in lower case, values unfolded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `text`. Blank lines do not end it: some peers write them where none belong, and groups (RFC 3464 2.1) are told
    /// apart by what they say. A space before the colon and any case are taken; a line that is no field is left out.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in String::from_utf8_lossy(text).lines() {
            if fields.len() > MOST {
                break;
            }
            let line = line.trim_end_matches('\r');
            match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) if value.len() < LONGEST => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                // A first line that is indented: a field all the same.
                (true, None, Some((name, value))) | (false, _, Some((name, value))) => {
                    fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                _ => {}
            }
        }
        for (_, value) in &mut fields {
            *value = plain(value);
        }
        Self(fields)
    }

    /// Every field, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first field `name` that says anything.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    }
}

/// Text from outside, fit to be kept and shown: one line, of bounded length, without control characters.
pub(super) fn plain(text: &str) -> String {
    let printable = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c });
    printable.collect::<String>().trim().to_owned()
}

/// The address in `rfc822; <a@b>`, with or without its type, brackets and spaces.
pub(super) fn address(stated: &str) -> String {
    let text = stated.rsplit_once(';').map_or(stated, |(_, address)| address).trim();
    text.trim_start_matches('<').trim_end_matches('>').trim().to_owned()
}

/// Without `(comments)` (RFC 5322 3.2.2).
pub(super) fn without_comments(text: &str) -> String {
    let mut depth = 0_u32;
    let outside = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                return false;
            }
            _ => {}
        }
        depth == 0
    };
    text.chars().filter(outside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_however_they_are_folded_spaced_and_capitalized() {
        let fields = Fields::read(b"\r\nFINAL-Recipient : rfc822;\r\n\t<c@d.example>\r\n\r\nx\nDisposition:\n processed \n");
        assert_eq!(fields.value("final-recipient"), Some("rfc822; <c@d.example>"));
        assert_eq!(fields.value("disposition"), Some("processed"));
        assert_eq!(Fields::read(b"  Indented: yes").value("indented"), Some("yes"));
    }

    #[test]
    fn an_address_is_found_with_and_without_its_type_and_brackets() {
        for stated in ["rfc822;c@d.example", "RFC822 ; <c@d.example>", " c@d.example ", "rfc822;  c@d.example", "<c@d.example>"] {
            assert_eq!(address(stated), "c@d.example", "{stated}");
        }
    }

    #[test]
    fn comments_are_left_out_and_unbalanced_ones_end_nothing_else() {
        assert_eq!(without_comments("a (b (c)) d"), "a  d");
        assert_eq!(without_comments("a) b"), "a) b");
        assert_eq!(without_comments("a (b"), "a ");
    }
}
