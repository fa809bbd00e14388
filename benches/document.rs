//! What writing a C-CDA document costs, and checking the PDF inside. `cargo bench --bench document`
//!
//! Compare `write` with `base64` of the same size: the rest of the document is what lies between them.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must say so")]

use divan::{Bencher, counter::BytesCount};
use postern::{
    document::{Confidentiality, Facts, Sender, pdf, unstructured},
    domain::{
        OffsetTime,
        organization::{OrganizationFile, PatientId},
    },
    sandbox::story,
    seal::floor::Floor,
    source::wire::{self, OrderMessage, Unknown},
};

/// Sizes of the PDF, in KiB.
const PDF_KIB: [usize; 3] = [50, 300, 2048];

fn main() {
    divan::main();
}

fn report(kib: usize) -> Vec<u8> {
    let mut pdf = story::chapter(1).pdf();
    pdf.resize(kib * 1024, b' ');
    pdf
}

#[divan::bench(args = PDF_KIB)]
fn base64(bencher: Bencher<'_, '_>, kib: usize) {
    let pdf = report(kib);
    bencher.counter(BytesCount::of_slice(&pdf)).bench_local(|| Floor::base64(&pdf));
}

#[divan::bench(args = PDF_KIB)]
fn write(bencher: Bencher<'_, '_>, kib: usize) {
    let (pdf, chapter) = (report(kib), story::chapter(1));
    let file: OrganizationFile = toml::from_str(story::CAST[chapter.organization].file).unwrap();
    let now: OffsetTime = "2026-01-15T10:15:30-05:00".parse().unwrap();
    let today = file.time_zone.date_at(now.at);
    let order = wire::order(chapter.order.to_string().as_bytes(), Unknown::Refuse, today).unwrap().value;
    let OrderMessage::New(order) = order else { return };
    let report = wire::result(chapter.result.to_string().as_bytes(), Unknown::Refuse, today).unwrap().value.report;
    let sender = Sender::of(&file, &order.site);
    let facts = Facts {
        document_id: uuid::Uuid::now_v7(),
        set_id: uuid::Uuid::now_v7(),
        version: 1,
        relation: None,
        order: &order,
        report: &report,
        sender: &sender,
        patient_id: PatientId::Null,
        recipient: None,
        address: None,
        confidentiality: Confidentiality::Normal,
        received_at: now,
        made_at: now,
    };
    let mut out = Vec::new();
    bencher.counter(BytesCount::of_slice(&pdf)).bench_local(|| unstructured::write(&facts, &pdf, &mut out).unwrap());
}

#[divan::bench]
fn check(bencher: Bencher<'_, '_>) {
    let pdf = story::chapter(4).pdf();
    bencher.counter(BytesCount::of_slice(&pdf)).bench_local(|| pdf::check(&pdf, pdf::DEFAULT_LIMIT).unwrap().pages);
}
