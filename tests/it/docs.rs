//! Pages that are generated from the code: each is compared with what the code says now.
//!
//! After a change: `POSTERN_UPDATE_DOCS=1 scripts/test docs`, then read the difference and commit it.

use std::{env, fmt::Write as _, fs, path::Path};

use postern::domain::{
    alert::AlertKind,
    failure::{Class, Reason},
};

#[test]
fn the_page_of_reasons_says_what_the_code_says() {
    same_as("docs/reasons.md", &reasons());
}

#[test]
fn the_table_of_alerts_in_the_operators_guide_says_what_the_code_says() {
    const BEGIN: &str = "<!-- alerts: generated from src/domain/alert/kind.rs -->\n";
    const END: &str = "<!-- end of alerts -->\n";
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md")).expect("the guide");
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    same_as("docs/operating.md", &format!("{before}{BEGIN}{}{END}{after}", alerts()));
}

/// The table of alerts, from `domain::alert`.
fn alerts() -> String {
    let mut table =
        String::from("| alert | how grave | to organizations | meaning | what to do |\n| --- | --- | --- | --- | --- |\n");
    for kind in AlertKind::ALL {
        let organizations = if kind.concerns_organization() { "yes" } else { "" };
        let (meaning, remedy) = (cell(kind.meaning()), cell(kind.remedy()));
        writeln!(table, "| `{kind}` | {} | {organizations} | {meaning} | {remedy} |", kind.severity())
            .expect("a string takes everything");
    }
    table
}

/// `docs/reasons.md`, from the table in `domain::failure`.
fn reasons() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         Every code that Postern gives for something that waits, is held, was refused or failed. The same code stands in the\n\
         API, on the screens, in logs and in what the commands print.\n\n\
         Class: **retry** - it is tried again by itself; **permanent** - trying again changes nothing until somebody acts;\n\
         **unknown** - it may have arrived, so it is never tried again blindly.\n\n\
         This page is generated from `src/domain/failure.rs`; do not edit it.\n\n\
         | code | class | meaning | what to do next |\n\
         | --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let class = match reason.class() {
            Class::Retry => "retry",
            Class::Permanent => "permanent",
            Class::Unknown => "unknown",
        };
        let (meaning, remedy) = (cell(reason.meaning()), cell(reason.remedy()));
        writeln!(page, "| `{reason}` | {class} | {meaning} | {remedy} |").expect("a string takes everything");
    }
    page
}

/// A cell of a table: a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Compares a generated page with the file that is committed, or writes it when asked to.
fn same_as(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("POSTERN_UPDATE_DOCS").is_some() {
        fs::write(&file, generated).expect("write the page");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).find(|(old, new)| old != new);
    assert!(
        committed == generated,
        "{path} is not what the code says (first difference: {differs:?}); run POSTERN_UPDATE_DOCS=1 scripts/test docs"
    );
}
