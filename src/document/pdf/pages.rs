//! The page tree (ISO 32000-1 7.7.2, 7.7.3).

use std::collections::HashSet;

use super::{PdfProblem, syntax::Object, xref::File};

const NO_CATALOG: PdfProblem = PdfProblem::Damaged("its catalog is missing");
const NO_PAGE: PdfProblem = PdfProblem::Damaged("a page is missing");

/// Counts the pages by visiting each: `/Count` is only a claim.
pub(super) fn count(file: &File<'_>) -> Result<u32, PdfProblem> {
    let Object::Dictionary(catalog) = file.object(file.root().ok_or(NO_CATALOG)?)? else { return Err(NO_CATALOG) };
    if !catalog.is(b"Catalog") {
        return Err(NO_CATALOG);
    }
    let mut pages = 0;
    let mut seen = HashSet::new();
    let mut waiting = vec![catalog.reference(b"Pages").ok_or(NO_CATALOG)?];
    while let Some(number) = waiting.pop() {
        // A node that is its own ancestor would never end.
        if !seen.insert(number) {
            return Err(PdfProblem::Damaged("its page tree goes in circles"));
        }
        let Object::Dictionary(node) = file.object(number)? else { return Err(NO_PAGE) };
        let kids = match node.get(b"Kids") {
            Some(Object::Reference(kids)) => Some(file.object(*kids)?),
            kids => kids.cloned(),
        };
        match kids {
            Some(Object::Array(kids)) if node.is(b"Pages") => {
                for kid in kids {
                    let Object::Reference(kid) = kid else { return Err(NO_PAGE) };
                    waiting.push(kid);
                }
            }
            None if node.is(b"Page") => pages += 1,
            // A tree without leaves.
            None if node.is(b"Pages") => {}
            _ => return Err(NO_PAGE),
        }
    }
    Ok(pages)
}
