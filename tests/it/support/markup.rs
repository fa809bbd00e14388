//! What is wrong with a page as markup, whatever it looks like: read as a browser reads it.

use std::collections::{BTreeMap, BTreeSet};

use html5ever::{parse_document, tendril::TendrilSink as _};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// One element, with its attributes and what stands in it.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    /// Names of the elements around it, the nearest first.
    around: Vec<String>,
    children: Vec<Element>,
}

impl Element {
    fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }

    fn is(&self, class: &str) -> bool {
        self.get("class").split_whitespace().any(|one| one == class)
    }

    fn all<'a>(&'a self, into: &mut Vec<&'a Self>) {
        into.push(self);
        self.children.iter().for_each(|child| child.all(into));
    }

    fn find(&self, name: &str) -> Vec<&Self> {
        let mut all = Vec::new();
        self.all(&mut all);
        all.retain(|element| element.name == name);
        all
    }
}

fn read(node: &Handle, around: &[String]) -> Option<Element> {
    let NodeData::Element { name, attrs, .. } = &node.data else { return None };
    let name = name.local.to_string();
    let attributes = attrs.borrow().iter().map(|one| (one.name.local.to_string(), one.value.to_string())).collect();
    let within: Vec<String> = std::iter::once(name.clone()).chain(around.iter().cloned()).collect();
    let children = node.children.borrow().iter().filter_map(|child| read(child, &within)).collect();
    let mut text = String::new();
    words(node, &mut text);
    Some(Element {
        name,
        attributes,
        text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        around: around.to_vec(),
        children,
    })
}

fn words(node: &Handle, into: &mut String) {
    if let NodeData::Text { contents } = &node.data {
        into.push_str(&contents.borrow());
        into.push(' ');
    }
    node.children.borrow().iter().for_each(|child| words(child, into));
}

/// A page's title, and everything that is wrong with it.
pub(crate) fn faults(page: &str) -> (String, Vec<String>) {
    let dom = parse_document(RcDom::default(), html5ever::ParseOpts::default()).from_utf8().one(page.as_bytes());
    let mut faults: Vec<String> = dom.errors.borrow().iter().map(|error| format!("not well written: {error}")).collect();
    let children = dom.document.children.borrow();
    let Some(root) = children.iter().find_map(|child| read(child, &[])) else {
        return (String::new(), vec!["no page".to_owned()]);
    };
    let mut all = Vec::new();
    root.all(&mut all);
    let mut wrong = |what: &str, element: &Element| {
        let attributes: Vec<String> = element.attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        faults.push(format!("{what}: <{} {}> {:.60}", element.name, attributes.join(" "), element.text));
    };
    for element in &all {
        each(element, &all, &mut wrong);
    }
    for table in root.find("table") {
        columns(table, &mut wrong);
    }
    let ids: Vec<&str> = all.iter().map(|element| element.get("id")).filter(|id| !id.is_empty()).collect();
    if ids.iter().collect::<BTreeSet<_>>().len() != ids.len() {
        faults.push(format!("an id stands twice: {ids:?}"));
    }
    let title = root.find("title").first().map(|title| title.text.clone()).unwrap_or_default();
    let one = |what: &str, count: usize| if count == 1 { None } else { Some(format!("{count} {what}")) };
    faults.extend(one("titles", usize::from(!title.is_empty())));
    faults.extend(one("h1", root.find("h1").iter().filter(|head| !head.text.is_empty()).count()));
    faults.extend(one("main", root.find("main").len()));
    faults.extend(one("ways past the menu", all.iter().filter(|link| link.is("skip") && link.get("href") == "#main").count()));
    if root.get("lang").is_empty() {
        faults.push("no language".to_owned());
    }
    let here = all.iter().filter(|element| element.get("aria-current") == "page").count();
    if here > 1 {
        faults.push(format!("somebody is at {here} places at once"));
    }
    (title, faults)
}

fn each(element: &Element, all: &[&Element], wrong: &mut dyn FnMut(&str, &Element)) {
    let known = |id: &str| all.iter().any(|other| other.get("id") == id);
    for (name, value) in &element.attributes {
        if name == "style" || name.starts_with("on") {
            wrong("something inline", element);
        }
        let leads = ["href", "src", "action"].contains(&name.as_str());
        if leads && value.starts_with('#') && !known(&value[1..]) {
            wrong("leads nowhere", element);
        } else if leads && !(value.starts_with('/') && !value.starts_with("//") || value.starts_with('#') || value == "data:,") {
            wrong("leads elsewhere", element);
        }
        if ["aria-labelledby", "aria-describedby", "for", "list"].contains(&name.as_str()) && !known(value) {
            wrong("points at nothing", element);
        }
    }
    let label = |element: &Element| {
        let id = element.get("id");
        let labelled = all.iter().any(|other| other.name == "label" && !id.is_empty() && other.get("for") == id);
        labelled || element.around.iter().any(|name| name == "label") || !element.get("aria-label").is_empty()
    };
    match element.name.as_str() {
        "style" => wrong("something inline", element),
        "script" if element.get("src").is_empty() => wrong("something inline", element),
        "input" if element.get("type") == "hidden" => {}
        "input" | "select" | "textarea" if !label(element) => wrong("no label", element),
        // What a list suggests is said by its value.
        "option" if element.around.first().is_some_and(|name| name == "datalist") => {}
        "button" | "a" | "summary" | "label" | "option" if element.text.is_empty() && element.get("aria-label").is_empty() => {
            wrong("no words", element);
        }
        "th" if element.get("scope").is_empty() => wrong("no scope", element),
        "iframe" if element.get("title").is_empty() => wrong("no title", element),
        "form" if element.get("method") == "post" => {
            let marked = element.find("input").iter().any(|input| input.get("name") == "csrf" && !input.get("value").is_empty());
            if !marked {
                wrong("no mark of the page", element);
            }
        }
        _ => {}
    }
}

/// Each row has a cell for each column, and each cell says which column it is, for where there is no room for a table.
fn columns(table: &Element, wrong: &mut dyn FnMut(&str, &Element)) {
    let heads: Vec<String> = table.find("thead").iter().flat_map(|head| head.find("th")).map(|cell| cell.text.clone()).collect();
    for row in table.find("tbody").iter().flat_map(|body| body.find("tr")) {
        let cells: Vec<&Element> = row.children.iter().filter(|cell| cell.name == "td" || cell.name == "th").collect();
        if cells.len() != heads.len() {
            wrong("not as many cells as columns", row);
        }
        for (cell, head) in cells.iter().zip(&heads).filter(|(cell, _)| cell.name == "td") {
            let said = cell.attributes.get("data-label");
            // A cell with something to do says it by itself.
            let fits = said.is_none_or(|said| said == head || said.is_empty());
            if !fits {
                wrong("called otherwise than its column", cell);
            }
        }
    }
}

#[test]
fn each_fault_of_a_page_is_found() {
    let page = |main: &str| {
        format!(
            "<!doctype html><html lang=\"en\"><head><title>A page</title></head><body><a class=\"skip\" href=\"#main\">To the content</a>\
             <main id=\"main\"><h1>A page</h1>{main}</main></body></html>"
        )
    };
    let good = "<form method=\"post\" action=\"/x\"><input type=\"hidden\" name=\"csrf\" value=\"m\"><label>Name <input name=\"n\"></label><button>Go</button></form>\
        <table><thead><tr><th scope=\"col\">A</th></tr></thead><tbody><tr><td data-label=\"A\">1</td></tr></tbody></table>";
    assert_eq!(faults(&page(good)), ("A page".to_owned(), vec![]));
    for (bad, fault) in [
        ("<p style=\"color:red\">x</p>", "inline"),
        ("<p onclick=\"x()\">x</p>", "inline"),
        ("<script>x()</script>", "inline"),
        ("<style>p{}</style>", "inline"),
        ("<a href=\"https://elsewhere.example/\">x</a>", "elsewhere"),
        ("<a href=\"//elsewhere.example/\">x</a>", "elsewhere"),
        ("<a href=\"#nothing\">x</a>", "nowhere"),
        ("<a href=\"/x\"></a>", "no words"),
        ("<input name=\"n\">", "no label"),
        ("<h1>Another</h1>", "h1"),
        ("<p id=\"a\">x</p><p id=\"a\">y</p>", "twice"),
        ("<section aria-labelledby=\"nobody\">x</section>", "points at nothing"),
        ("<form method=\"post\" action=\"/x\"><button>Go</button></form>", "no mark"),
        ("<table><thead><tr><th>A</th></tr></thead></table>", "no scope"),
        (
            "<table><thead><tr><th scope=\"col\">A</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
            "as many cells",
        ),
        (
            "<table><thead><tr><th scope=\"col\">A</th></tr></thead><tbody><tr><td data-label=\"B\">1</td></tr></tbody></table>",
            "otherwise",
        ),
        ("<div><p>x</div></p>", "not well written"),
        ("<iframe src=\"/x\"></iframe>", "no title"),
    ] {
        let (_, found) = faults(&page(bad));
        assert!(found.iter().any(|one| one.contains(fault)), "{bad}: {found:?}");
    }
}
