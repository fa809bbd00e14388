use super::*;
use crate::domain::{
    Timestamp,
    period::Bounds,
    prices::closing::{Group, Period, lines},
};

/// A closed month with these charges: site, price, how many, who pays.
fn statement(charges: &[(&str, &str, i64, OrgId)], own: OrgId, payer: OrgId) -> Statement {
    let zone: TimeZone = "America/New_York".parse().unwrap();
    let at: OffsetTime = "2026-10-05T12:00:00Z".parse().unwrap();
    let period = BillingPeriod {
        org: own,
        bounds: Bounds::around(at.at, &zone),
        zone,
        closed_at: Some(Timestamp(at.at.micros() + 40 * 86_400_000_000)),
        closed_by: Some("biller".into()),
        forced: false,
        last_seq: Some(9),
        record: None,
    };
    let row = |(site, price, quantity, bill_to): &(&str, &str, i64, OrgId)| {
        let price: Money = price.parse().unwrap();
        let group = Group {
            bill_to: *bill_to,
            currency: Currency::default(),
            site: (*site).into(),
            cost_center: String::new(),
            channel: "direct".into(),
            status: "final".into(),
            entry_type: EntryType::Charge,
            fee_code: "direct".into(),
            note: String::new(),
            relates_to: None,
            unit_price: price,
            price: None,
        };
        Row { group, quantity: *quantity, amount: price.times(*quantity).unwrap(), lines: *quantity, first: 1 }
    };
    let mut rows: Vec<Row> = charges.iter().map(row).collect();
    let (currency, rates) = (Currency::default(), BTreeMap::new());
    let known = Period { own, currency: &currency, rows: &rows, rates: &rates, terms: None, addresses: 0 };
    rows.extend(lines(&known).unwrap());
    let name = |slug: &str| Name { slug: slug.into(), name: format!("The <{slug}> & Co") };
    let quantity = charges.iter().map(|charge| u64::try_from(charge.2).unwrap()).sum();
    let controls = Controls { deliveries: quantity, charged: quantity, charges: quantity, ..Controls::default() };
    let facts = Facts {
        period: &period,
        state: PeriodState::Closed,
        organization: name("north"),
        bill_to: (payer, name(if payer == own { "north" } else { "plan" })),
        rows: &rows,
        controls: Some(controls),
    };
    Statement::of(facts).unwrap()
}

#[test]
fn rows_add_up_to_the_total_to_the_cent_and_the_parts_do_too() {
    let own = OrgId::new();
    let made = statement(&[("R1", "0.0125", 3, own), ("R2", "0.0125", 3, own), ("R3", "0.25", 2, own)], own, own);
    let rows: Vec<_> = made.rows.iter().map(|row| row.amount.to_string()).collect();
    assert_eq!(rows, ["0.04", "0.04", "0.50"]);
    let total = &made.totals[0];
    assert_eq!(
        (total.total.to_string(), total.rounding.to_string(), total.charged.to_string()),
        ("0.58".into(), "0.005".into(), "0.575".into())
    );
    assert_eq!((made.number.as_str(), total.charges), ("north-2026-10", 8));
}

#[test]
fn each_payer_has_a_statement_of_its_own_and_a_sponsor_learns_nothing_about_the_rest() {
    let (own, plan) = (OrgId::new(), OrgId::new());
    let charges = [("R1", "0.25", 2, own), ("R1", "0.40", 3, plan)];
    let (mine, theirs) = (statement(&charges, own, own), statement(&charges, own, plan));
    assert_eq!((mine.totals[0].total.to_string(), theirs.totals[0].total.to_string()), ("0.50".into(), "1.20".into()));
    assert_eq!(theirs.number, "north-2026-10-plan");
    let controls = mine.controls.unwrap();
    assert_eq!((controls.billed_to_others, controls.counts.charges, controls.ties), (3, 5, true));
    assert_eq!(theirs.controls, None);
}

#[test]
fn a_page_shows_names_as_text_and_needs_nothing_from_elsewhere() {
    let own = OrgId::new();
    let page = html::write(&statement(&[("<b>", "0.25", 2, own)], own, own)).unwrap();
    assert!(page.contains("The &#60;north&#62; &#38; Co") && page.contains("&#60;b&#62;"), "{page}");
    for outside in ["http:", "https:", "<script", "<img", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_same_statement_is_the_same_file_and_a_long_one_has_more_pages() {
    let own = OrgId::new();
    let sites: Vec<String> = (0..90).map(|n| format!("SITE{n:03}")).collect();
    let charges: Vec<_> = sites.iter().map(|site| (site.as_str(), "0.25", 2, own)).collect();
    let made = statement(&charges, own, own);
    let pdf = pdf::write(&made).unwrap();
    assert_eq!(pdf, pdf::write(&made).unwrap());
    assert!(lopdf::Document::load_mem(&pdf).unwrap().get_pages().len() >= 3);
    assert_eq!(made.json().unwrap(), made.clone().json().unwrap());
}

/// Every text of a PDF with the page it stands on and its left and right edge.
fn texts(pdf: &[u8]) -> Vec<(u32, i64, i64, String)> {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let (mut found, number) = (Vec::new(), |object: &lopdf::Object| object.as_i64().unwrap());
    for (page, id) in document.get_pages() {
        let (mut font, mut size, mut x) = (String::new(), 0, 0);
        for operation in document.get_and_decode_page_content(id).unwrap().operations {
            let operands = &operation.operands;
            match operation.operator.as_str() {
                "Tf" => (font, size) = (String::from_utf8_lossy(operands[0].as_name().unwrap()).into(), number(&operands[1])),
                "Td" => x = number(&operands[0]),
                "Tj" => {
                    let text: String = operands[0].as_str().unwrap().iter().map(|octet| char::from(*octet)).collect();
                    found.push((page, x, x + crate::bill::drawing::width(&font, &text, size), text));
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_long_text_is_broken_into_lines_that_stay_in_their_column_and_nothing_of_it_is_cut() {
    let own = OrgId::new();
    let site = "RIVERSIDE-AND-HILLTOP-COMMUNITY-SCREENING-CENTER-OF-THE-GREATER-LAKES-0001";
    let mut made = statement(&[(site, "1234.125", 999_999, own), ("R2", "0.25", 1, own)], own, own);
    let long = "The Very Long Name of an Association of Clinics for Retinal Screening in the Counties around the Lakes";
    for name in [&mut made.organization, &mut made.bill_to] {
        name.name = format!("{long} \u{2013} Bürgerspital");
        name.slug = "n".repeat(40);
    }
    made.number = format!("{0}-2026-10-{0}", "n".repeat(40));
    made.rows[0].cost_center = "4711 Department of Outpatient Ophthalmology and Imaging".into();
    made.rows[0].status = "corrected".into();
    made.rows[0].relates_to = Some("2026-09".parse().unwrap());
    let controls = made.controls.as_mut().unwrap();
    controls
        .counts
        .not_charged
        .insert("a_reason_with_a_name_that_is_rather_longer_than_a_line_of_the_page_has_place_for_and_goes_on".into(), 3);
    let pdf = pdf::write(&made).unwrap();
    if let Ok(file) = std::env::var("POSTERN_SHOW_PDF") {
        std::fs::write(file, &pdf).unwrap();
    }
    let texts = texts(&pdf);
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let all = bare(&texts.iter().map(|(.., text)| text.as_str()).collect::<String>());
    assert!(!all.contains("..."), "something is cut");
    for whole in [site, long, "B\u{fc}rgerspital", "rather_longer_than_a_line", "OutpatientOphthalmologyandImaging", &made.number]
    {
        assert!(all.contains(&bare(whole)), "{whole} in {all}");
    }
    assert!(all.contains(&bare(&made.rows[0].words())), "{all}");
    for (page, left, right, text) in &texts {
        assert!(*left >= 54 && *right <= 612 - 54, "page {page}: {text:?} from {left} to {right}");
    }
    // Those of a row stand side by side: what begins left of the words ends before them, and these before the numbers.
    let rows = texts.iter().filter(|(_, left, _, text)| *left == 54 && site.contains(text.as_str()));
    assert!(rows.clone().count() >= 3 && rows.into_iter().all(|(_, _, right, _)| *right <= 54 + 132), "{texts:?}");
    let numbers = texts.iter().find(|(.., text)| text == "999999").unwrap().1;
    let words = texts.iter().filter(|(_, left, ..)| *left == 54 + 132);
    assert!(words.clone().count() >= 3 && words.into_iter().all(|(_, _, right, _)| *right < numbers), "{texts:?}");
}

#[test]
fn a_site_cannot_put_a_formula_into_a_spreadsheet_and_numbers_stay_numbers() {
    let own = OrgId::new();
    let mut out = Vec::new();
    csv::write(&statement(&[("=1+1", "0.25", 2, own)], own, own), &mut out).unwrap();
    let written = String::from_utf8(out).unwrap();
    assert!(
        written.ends_with("north-2026-10,north,north,2026-10,'=1+1,,direct,final,charge,direct,,,,2,0.25,0.50,USD\r\n"),
        "{written}"
    );
}
