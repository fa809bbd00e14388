//! One page of a feed: `{"items":[{"cursor","result":{...}}],"next"}`.

use std::{fmt::Write as _, ops::Range};

use bytes::Bytes;
use serde_json::Value;

use crate::source::wire::scan;

/// A page, read as far as needed to take its items one by one.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    /// Its items, oldest first.
    pub(super) items: Vec<Item>,
    /// Where the next page begins; absent at the end.
    pub(super) next: Option<String>,
}

/// One item. What is wrong inside it is its own misfortune, not the page's: its octets are handed on as they came.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    /// Its place in the feed, if it says so.
    pub(super) cursor: Option<String>,
    /// The result as JSON, or the whole item when it has not exactly one.
    pub(super) content: Result<Bytes, Bytes>,
}

/// Longest cursor that is taken.
const CURSOR_LIMIT: usize = 500;

/// Reads a page; the error is the end of a sentence about the feed.
pub(super) fn read(body: &Bytes) -> Result<Page, String> {
    let members = scan::members(body).ok_or("did not answer with a JSON object")?;
    let items = only(body, &members, "items").and_then(|list| Some((list.clone(), scan::elements(&body[list])?)));
    let Some((list, items)) = items else { return Err("answered without a list of items".to_owned()) };
    let next = only(body, &members, "next").and_then(|next| cursor(&body[next]));
    let list = body.slice(list);
    Ok(Page { items: items.into_iter().map(|place| item(&list.slice(place))).collect(), next })
}

/// The value of the member called `name`, if there is one and only one.
fn only(json: &[u8], members: &[(Range<usize>, Range<usize>)], name: &str) -> Option<Range<usize>> {
    let mut found = members.iter().filter(|(written, _)| scan::says(&json[written.clone()], name));
    let (Some((_, value)), None) = (found.next(), found.next()) else { return None };
    Some(value.clone())
}

fn item(json: &Bytes) -> Item {
    let Some(members) = scan::members(json) else { return Item { cursor: None, content: Err(json.clone()) } };
    let result = only(json, &members, "result").filter(|value| json[value.clone()].starts_with(b"{"));
    Item {
        cursor: only(json, &members, "cursor").and_then(|value| cursor(&json[value])),
        content: result.map(|value| json.slice(value)).ok_or_else(|| json.clone()),
    }
}

/// A cursor is text, or a number that is sent back as it was written.
fn cursor(json: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice(json).ok()? {
        Value::String(text) => text,
        Value::Number(_) => String::from_utf8(json.to_vec()).ok()?,
        _ => return None,
    };
    let is_plain = !text.is_empty() && text.len() <= CURSOR_LIMIT && !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

/// `text` for a query (RFC 3986 2.3: everything but unreserved characters is escaped).
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &[u8]) -> Result<Page, String> {
        read(&Bytes::copy_from_slice(body))
    }

    #[test]
    fn what_is_poison_for_a_reader_stays_in_its_item_as_it_came() {
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        let items = [
            r#"{"cursor":"1","result":{"a":1,"a":2}}"#.as_bytes(),
            br#"{"cursor":"2","result":{"a":"\ud800"}}"#,
            b"{\"cursor\":\"3\",\"result\":{\"a\":\"\xff\"}}",
            &[br#"{"cursor":"4","result":{"a":"#.as_slice(), deep.as_bytes(), b"}}"].concat(),
            br#"{"cursor":"5","result":{},"result":{}}"#,
        ];
        let body = [b"{\"items\":[".as_slice(), &items.join(&b","[..]), b"]}"].concat();
        let page = page(&body).unwrap();
        assert_eq!(page.items.iter().map(|item| item.cursor.as_deref().unwrap()).collect::<String>(), "12345");
        assert_eq!(page.items[0].content, Ok(br#"{"a":1,"a":2}"#[..].into()));
        assert!(page.items[..4].iter().all(|item| item.content.is_ok()) && page.items[4].content.is_err());
    }

    #[test]
    fn a_page_is_read_and_a_bad_item_spoils_only_itself() {
        let page =
            page(br#"{"items":[{"cursor":"a","result":{"status":"final"}},{"cursor":7,"result":5},3],"next":"b"}"#).unwrap();
        assert_eq!(page.next.as_deref(), Some("b"));
        assert_eq!(page.items[0], Item { cursor: Some("a".into()), content: Ok(br#"{"status":"final"}"#[..].into()) });
        assert_eq!(page.items[1].cursor.as_deref(), Some("7"));
        assert!(page.items[1].content.is_err() && page.items[2].cursor.is_none());
        assert_eq!(super::read(&br#"{"items":[],"next":null}"#[..].into()).unwrap().next, None);
    }

    #[test]
    fn what_is_no_page_is_said_in_words() {
        for body in [&b"<html>"[..], b"[]", b"{}", br#"{"items":{}}"#, br#"{"items":[],"items":[]}"#, br#"{"items":["#] {
            assert!(page(body).is_err());
        }
    }

    #[test]
    fn a_cursor_cannot_break_out_of_its_place_in_the_query() {
        assert_eq!(escaped("a b&limit=9#ü"), "a%20b%26limit%3D9%23%C3%BC");
        assert_eq!(cursor(br#""a\r\nb""#), None);
        assert_eq!(cursor(format!("\"{}\"", "x".repeat(501)).as_bytes()), None);
        assert_eq!(cursor(b"12345678901234567890123"), Some("12345678901234567890123".into()));
    }
}
