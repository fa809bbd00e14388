//! JSON as octets, without reading it: where each value begins and ends.
//!
//! Reading a text as a whole loses members given twice, and one value that cannot be read spoils all the others. A
//! scanner goes by quotes and brackets alone, needs no memory for depth, and leaves the judging to who reads the value.

use std::ops::Range;

/// The members of one object, in order and as often as they are given: name (as written, with its quotes) and value.
/// `None` when quotes or brackets do not match, or it is no object.
pub(crate) fn members(json: &[u8]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let mut scan = Scan { json, at: 0 };
    let mut members = Vec::new();
    scan.expect(b'{')?;
    while !scan.ends(b'}', members.is_empty())? {
        let name = scan.text()?;
        scan.expect(b':')?;
        members.push((name, scan.value()?));
    }
    scan.is_at_end().then_some(members)
}

/// The elements of one list, as [`members`].
pub(crate) fn elements(json: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut scan = Scan { json, at: 0 };
    let mut elements = Vec::new();
    scan.expect(b'[')?;
    while !scan.ends(b']', elements.is_empty())? {
        elements.push(scan.value()?);
    }
    scan.is_at_end().then_some(elements)
}

/// Whether a name as written says `name`, however it is escaped.
pub(crate) fn says(written: &[u8], name: &str) -> bool {
    serde_json::from_slice::<String>(written).is_ok_and(|said| said == name)
}

/// `json` with the value of every member called `ssn`, wherever it stands, put out: what nobody may keep is not kept in a
/// message that is kept as it came either. Text that is no JSON is gone through as far as it goes.
#[must_use]
pub fn without_ssn(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut scan, mut copied) = (Scan { json, at: 0 }, 0);
    while scan.at < json.len() {
        if json[scan.at] != b'"' {
            scan.at += 1;
            continue;
        }
        let Some(name) = scan.text() else { break };
        let after_name = scan.at;
        let is_ssn = serde_json::from_slice::<String>(&json[name]).is_ok_and(|name| name.eq_ignore_ascii_case("ssn"));
        if !is_ssn || scan.expect(b':').is_none() {
            scan.at = after_name;
            continue;
        }
        let begin = scan.at;
        // A value without an end reaches to the end of everything.
        let end = scan.value().map_or(json.len(), |value| value.end);
        out.extend_from_slice(&json[copied..begin]);
        out.extend_from_slice(b"null");
        (copied, scan.at) = (end, end);
    }
    out.extend_from_slice(&json[copied..]);
    out
}

struct Scan<'j> {
    json: &'j [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.json.get(self.at).is_some_and(|octet| b" \t\r\n".contains(octet)) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    fn expect(&mut self, octet: u8) -> Option<()> {
        (self.peek()? == octet).then(|| self.at += 1)
    }

    /// Goes past the end of a container, or past the comma before what comes next (there is none before the first).
    fn ends(&mut self, end: u8, is_first: bool) -> Option<bool> {
        if self.peek()? == end {
            self.at += 1;
            return Some(true);
        }
        if !is_first {
            self.expect(b',')?;
        }
        Some(false)
    }

    /// A text with its quotes.
    fn text(&mut self) -> Option<Range<usize>> {
        self.expect(b'"')?;
        let begin = self.at - 1;
        loop {
            let octet = *self.json.get(self.at)?;
            self.at += 1;
            match octet {
                b'"' => return Some(begin..self.at),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    /// Any value.
    fn value(&mut self) -> Option<Range<usize>> {
        let begin = (self.peek()?, self.at).1;
        let mut open = Vec::new();
        loop {
            match self.peek()? {
                b'"' => self.at = self.text()?.end,
                octet @ (b'{' | b'[') => {
                    open.push(octet);
                    self.at += 1;
                    continue;
                }
                octet @ (b'}' | b']') => {
                    // The brackets of one kind are two apart.
                    if open.pop()? + 2 != octet {
                        return None;
                    }
                    self.at += 1;
                }
                b',' | b':' if !open.is_empty() => {
                    self.at += 1;
                    continue;
                }
                b',' | b':' => return None,
                _ => {
                    let is_plain = |octet: &u8| !b" \t\r\n,:{}[]\"".contains(octet);
                    self.at += self.json[self.at..].iter().take_while(|octet| is_plain(octet)).count();
                }
            }
            if open.is_empty() {
                return Some(begin..self.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(json: &str) -> Option<Vec<(&str, &str)>> {
        members(json.as_bytes()).map(|all| all.into_iter().map(|(name, value)| (&json[name], &json[value])).collect())
    }

    #[test]
    fn members_are_found_with_their_values_as_often_as_they_are_given() {
        let json = r#" {"a": [1, {"b": "]}\""}] , "a" :"x\\", "c":{}, "d":-1.5e3 , "e":null} "#;
        let expected = [
            (r#""a""#, r#"[1, {"b": "]}\""}]"#),
            (r#""a""#, r#""x\\""#),
            (r#""c""#, "{}"),
            (r#""d""#, "-1.5e3"),
            (r#""e""#, "null"),
        ];
        assert_eq!(pieces(json).unwrap(), expected);
        assert_eq!(pieces("{}").unwrap(), []);
        assert!(says(br#""\u0061""#, "a") && !says(br#""b""#, "a"));
    }

    #[test]
    fn what_cannot_be_read_is_one_element_among_the_others() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let list = [b"[1,".as_slice(), deep.as_bytes(), b", {\"a\": \"\xff\"}, \"\\ud800\", tru]"].concat();
        let found: Vec<_> = elements(&list).unwrap().into_iter().map(|place| list[place].len()).collect();
        assert_eq!(found, [1, 200_000, 10, 8, 3]);
    }

    #[test]
    fn quotes_and_brackets_that_do_not_match_are_not_guessed_at() {
        for json in
            ["", "[", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":[}", "{\"a\":1}}", "{\"a\" 1}", "{,}", "{\"a\":\"b}", "[1]"]
        {
            assert!(pieces(json).is_none(), "{json}");
        }
        for json in ["[1 2]", "[1,,2]", "[\"\\", "{}"] {
            assert!(elements(json.as_bytes()).is_none(), "{json}");
        }
    }

    #[test]
    fn a_social_security_number_is_put_out_wherever_it_stands() {
        for (json, expected) in [
            (r#"{"patient":{"ssn" : "078-05-1120","x":1}}"#, r#"{"patient":{"ssn" :null,"x":1}}"#),
            (r#"{"SSN":{"a":["078"]},"ssn":78051120}"#, r#"{"SSN":null,"ssn":null}"#),
            (r#"{"\u0073sn":"078-05-1120"}"#, r#"{"\u0073sn":null}"#),
            (r#"{"name":"ssn","y":"ssn"}"#, r#"{"name":"ssn","y":"ssn"}"#),
            (r#"{"ssn":"078-05"#, r#"{"ssn":null"#),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8(without_ssn(json.as_bytes())).unwrap(), expected);
        }
        assert_eq!(without_ssn(b"\xff{\"ssn\":\"1\"}\xfe"), b"\xff{\"ssn\":null}\xfe");
    }
}
