//! A release of the national directory of its real size: streamed, in bounded memory, every address found. Small in each run;
//! at full size and in release by `scripts/scale directory`, or
//! `POSTERN_NPD_PRACTITIONERS=7440000 cargo nextest run --release --test it --no-capture directory::release`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use postern::{
    domain::{Npi, route::DirectorySource, time::Span},
    resolve::directory::{Guard, Terms, archive::Meter, load, npd::Release, rows::Sink},
    store::directory::NewSnapshot,
};
use serde_json::json;

use crate::support::counter::Counter;

/// As many as the release of May 2026 had, with 1,360,585 endpoints, of which eleven in twelve are Direct.
const REAL: u64 = 7_440_000;
/// Octets of a Practitioner there: 16.7 GB of them.
const PRACTITIONER: usize = 2_250;
/// What a Practitioner ends with.
const END: &[u8] = br#""}}]}"#;
/// Peak memory of a load, however long the release.
const MEMORY_MIB: u64 = 200;

/// How much of everything there is.
#[derive(Clone, Copy)]
struct Size {
    practitioners: u64,
    endpoints: u64,
    organizations: u64,
}

impl Size {
    fn new(practitioners: u64) -> Self {
        let endpoints = practitioners * 1_360_585 / REAL;
        Self { practitioners, endpoints, organizations: endpoints / 5 }
    }

    /// The endpoint of practitioner `n`; fewer endpoints than people have one: an address of a practice serves several.
    fn endpoint_of(self, n: u64) -> Option<u64> {
        (n % 100 < 23).then(|| n.wrapping_mul(7_919) % self.endpoints)
    }

    /// Its organization, which a release seldom tells.
    fn organization_of(self, n: u64) -> Option<u64> {
        n.is_multiple_of(5).then_some(n % self.organizations)
    }

    fn is_found(self, n: u64) -> bool {
        is_active(n) && self.endpoint_of(n).is_some_and(is_direct)
    }
}

const fn is_direct(endpoint: u64) -> bool {
    endpoint % 12 != 11
}

const fn is_active(practitioner: u64) -> bool {
    practitioner % 50 != 49
}

fn address(endpoint: u64) -> String {
    format!("First.Lastname.{endpoint}@direct.clinic{}.example", endpoint % 50_000)
}

/// An NPI that nobody has, by number: nine digits and the one that makes them right (Luhn, 80840 before them counts 24).
fn npi(n: u64) -> String {
    let nine = 200_000_000 + n;
    let (mut sum, mut rest) = (24, nine);
    for place in 0..9 {
        let digit = rest % 10;
        sum += if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit };
        rest /= 10;
    }
    format!("{nine}{}", (10 - sum % 10) % 10)
}

/// Writes one file of the release, packed, a line for each number.
fn write(
    folder: &Path,
    files: &mut BTreeMap<String, serde_json::Value>,
    name: &str,
    count: u64,
    line: impl Fn(u64, &mut Vec<u8>),
) {
    let path = folder.join(format!("{name}.ndjson.zst"));
    let mut out = zstd::Encoder::new(BufWriter::new(File::create(&path).unwrap()), 1).unwrap();
    let (mut text, mut original) = (Vec::new(), 0);
    for n in 0..count {
        text.clear();
        line(n, &mut text);
        text.push(b'\n');
        original += text.len() as u64;
        out.write_all(&text).unwrap();
    }
    out.finish().unwrap().flush().unwrap();
    let compressed = path.metadata().unwrap().len();
    files.insert(format!("{name}.ndjson"), json!({ "original_bytes": original, "compressed_bytes": compressed }));
}

/// A release as CMS makes them: the resources have what the real ones have, and are as long.
fn release(folder: &Path, size: Size) {
    let mut files = BTreeMap::new();
    write(folder, &mut files, "01-Organization", size.organizations, |n, out| {
        let _ = write!(
            out,
            r#"{{"resourceType":"Organization","id":"Organization-{n}","active":true,"identifier":[{{"system":"http://terminology.hl7.org/NamingSystem/npi","value":"{}"}}],"name":"CLINIC {n} LLC","address":[{{"line":["{n} TEST WAY"],"city":"DAYTON","state":"OH","postalCode":"454020001"}}]}}"#,
            npi(90_000_000 + n)
        );
    });
    write(folder, &mut files, "03-Endpoint", size.endpoints, |n, out| {
        let (code, address) =
            if is_direct(n) { ("direct-project", address(n)) } else { ("hl7-fhir-rest", format!("https://fhir{n}.example/r4")) };
        let _ = write!(
            out,
            r#"{{"resourceType":"Endpoint","id":"Endpoint-{n}","meta":{{"lastUpdated":"2026-09-29T04:10:10Z"}},"extension":[{{"url":"http://hl7.org/fhir/us/ndh/StructureDefinition/base-ext-verification-status","valueCodeableConcept":{{"coding":[{{"system":"http://hl7.org/fhir/us/ndh/CodeSystem/NdhVerificationStatusCS","code":"complete","display":"Complete"}}]}}}}],"status":"active","connectionType":{{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"{code}","display":"A connection"}},"name":"Direct Messaging Address","address":"{address}","payloadType":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","version":"1.0.0","code":"not-applicable"}}]}}]}}"#
        );
    });
    let filler = "x".repeat(PRACTITIONER);
    write(folder, &mut files, "06-Practitioner", size.practitioners, |n, out| {
        let _ = write!(
            out,
            r#"{{"resourceType":"Practitioner","id":"Practitioner-{n}","active":{},"identifier":[{{"system":"http://terminology.hl7.org/NamingSystem/npi","value":"{}","use":"official","period":{{"start":"2014-02-26T00:00:00Z"}}}}],"name":[{{"family":"SAMPLE{n}","given":["AVERY"],"use":"official"}}],"qualification":[{{"code":{{"coding":[{{"system":"http://nucc.org/provider-taxonomy","code":"207W00000X"}}],"text":""#,
            is_active(n),
            npi(n)
        );
        out.extend_from_slice(&filler.as_bytes()[..PRACTITIONER.saturating_sub(out.len() + END.len())]);
        out.extend_from_slice(END);
    });
    write(folder, &mut files, "07-PractitionerRole", size.practitioners, |n, out| {
        let organization =
            size.organization_of(n).map(|of| format!(r#""organization":{{"reference":"Organization/Organization-{of}"}},"#));
        let endpoint = size.endpoint_of(n).map(|at| format!(r#""endpoint":[{{"reference":"Endpoint/Endpoint-{at}"}}],"#));
        let _ = write!(
            out,
            r#"{{"resourceType":"PractitionerRole","id":"PractitionerRole-{n}","active":true,{}{}"practitioner":{{"reference":"Practitioner/Practitioner-{n}"}}}}"#,
            organization.unwrap_or_default(),
            endpoint.unwrap_or_default()
        );
    });
    let manifest = json!({ "compression_algorithm": "zstd", "generated_at": "2026-09-29", "files": files });
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
}

/// Forgets the peak so far, so that what comes next has its own (proc(5), clear_refs).
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_of_the_national_directory_loads_in_bounded_memory_and_every_address_is_found() {
    let practitioners = std::env::var("POSTERN_NPD_PRACTITIONERS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let (size, counter) = (Size::new(practitioners), Counter::open().await);
    let folder = counter.dir.path().join("release");
    std::fs::create_dir(&folder).unwrap();
    let began = Instant::now();
    release(&folder, size);
    let found = Release::find(&folder).unwrap();
    println!(
        "{practitioners} practitioners and {} endpoints made in {:.1} s: {} MB packed",
        size.endpoints,
        began.elapsed().as_secs_f64(),
        found.bytes / 1_000_000
    );

    forget_peak();
    let began = Instant::now();
    let read = move |sink: Sink<'_>| found.read("2026-10-01", &Meter::default(), sink);
    let new = NewSnapshot { source: DirectorySource::Npd, org: None, file: "release" };
    let loaded = load(&counter.store, new, read, Terms { guard: Guard::default(), ..Terms::default() }).await.unwrap();
    let (took, peak) = (began.elapsed().as_secs_f64(), peak_mib());
    println!("loaded in {took:.1} s, {} addresses in force, peak {peak} MiB", loaded.entries);
    let expected = (0..practitioners).filter(|n| size.is_found(*n)).count() as u64;
    assert_eq!((loaded.entries, loaded.rejected), (expected, 0), "{:?}", loaded.counts);
    assert!(peak < MEMORY_MIB, "{peak} MiB");

    for n in (0..practitioners).step_by(usize::try_from(practitioners / 97).unwrap()) {
        let asked: Npi = npi(n).parse().unwrap();
        let said = counter.store.directory_findings(counter.org, &asked, Span::seconds(86_400)).await.unwrap();
        let said = format!("{said:?}");
        let expected = size.endpoint_of(n).filter(|_| size.is_found(n)).map(address);
        match expected {
            Some(address) => assert!(said.contains(&address), "{n}: {address} in {said}"),
            None => assert!(!said.contains("First.Lastname"), "{n}: {said}"),
        }
    }
}
