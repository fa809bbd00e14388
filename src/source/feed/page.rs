//! One page of a feed: `{"items":[{"cursor","result":{...}}],"next"}`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A page, read as far as needed to take its items one by one.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    /// Its items, oldest first.
    pub(super) items: Vec<Item>,
    /// Where the next page begins; absent at the end.
    pub(super) next: Option<String>,
}

/// One item. What is wrong inside it is its own misfortune, not the page's.
#[derive(Debug, PartialEq)]
pub(super) struct Item {
    /// Its place in the feed, if it says so.
    pub(super) cursor: Option<String>,
    /// The result as JSON, or the whole item when it has none.
    pub(super) content: Result<Vec<u8>, Vec<u8>>,
}

/// Longest cursor that is taken.
const CURSOR_LIMIT: usize = 500;

/// Reads a page; the error is the end of a sentence about the feed.
pub(super) fn read(body: &[u8]) -> Result<Page, String> {
    let page: Value = serde_json::from_slice(body).map_err(|_| "did not answer with JSON".to_owned())?;
    let Value::Object(mut page) = page else { return Err("did not answer with a JSON object".to_owned()) };
    let Some(Value::Array(items)) = page.remove("items") else { return Err("answered without a list of items".to_owned()) };
    let next = page.get("next").and_then(cursor);
    Ok(Page { items: items.into_iter().map(item).collect(), next })
}

fn item(value: Value) -> Item {
    match value {
        Value::Object(mut members) => {
            let cursor = members.get("cursor").and_then(cursor);
            let content = match members.remove("result") {
                Some(result @ Value::Object(_)) => Ok(result.to_string().into_bytes()),
                Some(other) => Err(whole(members, other)),
                None => Err(Value::Object(members).to_string().into_bytes()),
            };
            Item { cursor, content }
        }
        other => Item { cursor: None, content: Err(other.to_string().into_bytes()) },
    }
}

fn whole(mut members: Map<String, Value>, result: Value) -> Vec<u8> {
    members.insert("result".to_owned(), result);
    Value::Object(members).to_string().into_bytes()
}

/// A cursor is text, or a number that is sent back as it was written.
fn cursor(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
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

    #[test]
    fn a_page_is_read_and_a_bad_item_spoils_only_itself() {
        let page =
            read(br#"{"items":[{"cursor":"a","result":{"status":"final"}},{"cursor":7,"result":5},3],"next":"b"}"#).unwrap();
        assert_eq!(page.next.as_deref(), Some("b"));
        assert_eq!(page.items[0], Item { cursor: Some("a".into()), content: Ok(br#"{"status":"final"}"#.to_vec()) });
        assert_eq!(page.items[1].cursor.as_deref(), Some("7"));
        assert!(page.items[1].content.is_err() && page.items[2].cursor.is_none());
        assert_eq!(read(br#"{"items":[],"next":null}"#).unwrap().next, None);
    }

    #[test]
    fn what_is_no_page_is_said_in_words() {
        for body in [&b"<html>"[..], b"[]", b"{}", br#"{"items":{}}"#] {
            assert!(read(body).is_err());
        }
    }

    #[test]
    fn a_cursor_cannot_break_out_of_its_place_in_the_query() {
        assert_eq!(escaped("a b&limit=9#ü"), "a%20b%26limit%3D9%23%C3%BC");
        assert_eq!(cursor(&Value::String("a\r\nb".into())), None);
        assert_eq!(cursor(&Value::String("x".repeat(501))), None);
    }
}
