//! Files as they are downloaded, and files made to harm.

use std::io::{Cursor, Write as _};

use serde_json::json;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::admin::world::World;

const ENDPOINTS: &str = "\"NPI\",\"Endpoint Type\",\"Endpoint Type Description\",\"Endpoint\",\"Affiliation\",\"Endpoint Description\",\"Affiliation Legal Business Name\",\"Use Code\",\"Use Description\",\"Other Use Description\",\"Content Type\",\"Content Description\",\"Other Content Description\",\"Affiliation Address Line One\",\"Affiliation Address Line Two\",\"Affiliation Address City\",\"Affiliation Address State\",\"Affiliation Address Country\",\"Affiliation Address Postal Code\"\n";
const NPIS: &str = "\"NPI\",\"Entity Type Code\",\"Replacement NPI\",\"NPI Deactivation Date\",\"NPI Reactivation Date\"\n";

fn endpoint(npi: &str, of: &str, address: &str) -> String {
    format!(
        "\"{npi}\",\"{of}\",\"\",\"{address}\",\"Y\",\"\",\"NORTH\nCLINIC LLC\",\"\",\"\",\"\",\"\",\"\",\"\",\"1 TEST WAY\",\"\",\"DAYTON\",\"OH\",\"US\",\"454020001\"\n"
    )
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn says(world: &World, npi: &str) -> String {
    let found = world.run(&["directory", "lookup", npi, "--json"]);
    let found: serde_json::Value = serde_json::from_str(&found.out).unwrap();
    found["entries"][0]["address"].as_str().or(found["reason"].as_str()).unwrap().to_owned()
}

#[test]
fn the_monthly_archive_of_nppes_is_loaded_with_both_its_parts_without_unpacking_it() {
    let world = World::new();
    let endpoints = [
        ENDPOINTS.to_owned(),
        endpoint("2000000010", "DIRECT", " avery@direct.north.example "),
        endpoint("2000000010", "DIRECT", "Avery@Direct.North.example"),
        endpoint("2000000028", "FHIR", "https://fhir.north.example"),
        endpoint("1234567893", "DIRECT", "gone@direct.north.example"),
        endpoint("1245319599", "DIRECT", "someone@gmail.com"),
    ]
    .concat();
    let npis = format!(
        "{NPIS}\"2000000010\",\"1\",\"\",\"\",\"\"\n\"2000000044\",\"2\",\"\",\"\",\"\"\n\"1234567893\",\"\",\"\",\"01/31/2026\",\"\"\n"
    );
    let zip = archive(&[
        ("README.pdf", b"x"),
        ("../../npidata_pfile_20050523-20261108.csv", npis.as_bytes()),
        ("npidata_pfile_20050523-20261108_fileheader.csv", NPIS.as_bytes()),
        ("endpoint_pfile_20050523-20261108.csv", endpoints.as_bytes()),
        ("endpoint_pfile_20050523-20261108_fileheader.csv", ENDPOINTS.as_bytes()),
    ]);
    let file = world.write("nppes.zip", zip);
    let dry = world.json(&["directory", "import", "nppes", &file, "--dry-run"]);
    assert_eq!((&dry[0]["source"], &dry[0]["rows"], &dry[0]["snapshot"]), (&json!("registry"), &json!(3), &json!(null)));
    assert_eq!(world.json(&["directory", "list"]), json!([]));

    let loaded = world.json(&["directory", "import", "nppes", &file]);
    let types = &loaded[1]["types"];
    assert_eq!((&types["DIRECT"], &types["FHIR"]), (&json!({ "rows": 4, "taken": 4 }), &json!({ "rows": 1, "taken": 0 })));
    assert_eq!((&loaded[1]["duplicates"], &loaded[1]["webmail"], &loaded[1]["rejected"]), (&json!(1), &json!(1), &json!(0)));
    for (npi, expected) in [
        ("2000000010", "avery@direct.north.example"),
        ("2000000028", "no_address"),
        ("2000000044", "no_address"),
        ("1234567893", "npi_inactive"),
        ("2000000036", "npi_unknown"),
    ] {
        assert_eq!(says(&world, npi), expected, "{npi}");
    }
    assert_eq!(world.json(&["directory", "list"]).as_array().unwrap().len(), 2);
    let refused = world.bad(&["directory", "rollback", "nppes"]);
    assert!(refused.err.contains("no load of nppes to go back to"), "{}", refused.err);
}

#[test]
fn an_archive_made_to_harm_is_refused_and_the_load_before_stays() {
    let world = World::new();
    let good = ENDPOINTS.to_owned() + &endpoint("2000000010", "DIRECT", "a@direct.north.example");
    world.good(&["directory", "import", "nppes", &world.write("good.csv", &good)]);
    let name = "endpoint_pfile_x.csv";
    let bomb = archive(&[(name, &[good.as_bytes(), &vec![b'\n'; 40 << 20]].concat())]);
    let mut damaged = archive(&[(name, (good.clone() + &"x".repeat(5_000)).as_bytes())]);
    let middle = damaged.iter().position(|octet| *octet == b'D').unwrap() + 60;
    damaged[middle] ^= 0xff;
    let cut_off = archive(&[(name, good.as_bytes())])[..60].to_vec();
    let twice = archive(&[(name, good.as_bytes()), ("b/endpoint_pfile_y.csv", good.as_bytes())]);
    let none = archive(&[("readme.txt", b"x")]);
    for (what, content) in [("bomb", bomb), ("damaged", damaged), ("cut off", cut_off), ("twice", twice), ("none", none)] {
        let refused = world.bad(&["directory", "import", "nppes", &world.write("bad.zip", content)]);
        assert!(refused.err.contains("stays in force"), "{what}: {}", refused.err);
        assert_eq!(says(&world, "2000000010"), "a@direct.north.example", "{what}");
    }
}

#[test]
fn a_release_of_the_national_directory_is_found_by_its_manifest_and_its_chain_followed() {
    let world = World::new();
    let files = [
        (
            "01-Organization.ndjson",
            json!({ "resourceType": "Organization", "id": "Organization-1", "name": "NORTH CLINIC LLC",
            "identifier": [{ "system": "http://terminology.hl7.org/NamingSystem/npi", "value": "2000000044" }] }),
        ),
        (
            "03-Endpoint.ndjson",
            json!({ "resourceType": "Endpoint", "id": "Endpoint-1", "status": "active",
            "connectionType": { "code": "direct-project" }, "address": "avery@direct.north.example" }),
        ),
        (
            "06-Practitioner.ndjson",
            json!({ "resourceType": "Practitioner", "id": "Practitioner-1", "active": true,
            "identifier": [{ "system": "http://terminology.hl7.org/NamingSystem/npi", "value": "2000000010" }] }),
        ),
        (
            "07-PractitionerRole.ndjson",
            json!({ "resourceType": "PractitionerRole", "active": true,
            "practitioner": { "reference": "Practitioner/Practitioner-1" }, "organization": { "reference": "Organization/Organization-1" },
            "endpoint": [{ "reference": "Endpoint/Endpoint-1" }] }),
        ),
    ];
    let mut listed = serde_json::Map::new();
    for (name, resource) in &files {
        let text = format!("{resource}\n");
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        listed.insert((*name).to_owned(), json!({ "original_bytes": text.len(), "compressed_bytes": packed.len() }));
        world.write(&format!("{name}.zst"), packed);
    }
    let manifest = json!({ "compression_algorithm": "zstd", "generated_at": "2026-09-29", "files": listed });
    let manifest_file = world.write("manifest.json", manifest.to_string());
    let loaded = world.json(&["directory", "import", "npd", &manifest_file]);
    assert_eq!((&loaded["source"], &loaded["rows"]), (&json!("npd"), &json!(1)));
    let found = world.json(&["directory", "lookup", "2000000010"]);
    assert_eq!(found["entries"][0]["organization_npi"], "2000000044");

    // A file that expands to more than the manifest says is a trap, and one of another length is not that release.
    let bomb = zstd::encode_all(&vec![b'\n'; 40 << 20][..], 3).unwrap();
    for (packed, original, expected) in [(bomb.len(), 100, "expands to more"), (1, 100, "download it again")] {
        let mut worse = manifest.clone();
        worse["files"]["06-Practitioner.ndjson"] = json!({ "original_bytes": original, "compressed_bytes": packed });
        world.write("manifest.json", worse.to_string());
        world.write("06-Practitioner.ndjson.zst", &bomb);
        let refused = world.bad(&["directory", "import", "npd", &manifest_file]);
        assert!(refused.err.contains(expected), "{}", refused.err);
    }
    assert_eq!(says(&world, "2000000010"), "avery@direct.north.example");
}

#[test]
fn a_fhir_file_in_which_nobody_has_an_npi_is_refused_loudly() {
    let world = World::new();
    let unknown =
        json!({ "resourceType": "Practitioner", "id": "p", "identifier": [{ "system": "urn:new", "value": "2000000010" }] });
    let refused = world.bad(&["directory", "import", "fhir", &world.write("f.ndjson", unknown.to_string())]);
    assert!(refused.err.contains("not one NPI"), "{}", refused.err);
}

#[test]
fn an_organizations_own_list_with_its_own_column_names_answers_for_it_alone_and_can_be_rolled_back() {
    let world = World::new();
    world.good(&["org", "apply", &world.write("north.toml", "slug = \"north\"\nname = \"North\"\n")]);
    let import = |address: &str| {
        let file = world.write("own.csv", format!("WHO;x,REACH AT\n2000000010,{address}\n"));
        let map = ["--map", "npi=who x", "--map", "address=Reach At"];
        world.json(&[&["directory", "import", "csv", &file, "--organization", "north"], &map[..]].concat())
    };
    assert_eq!(import("a@direct.north.example")["source"], "tenant_list");
    import("b@direct.north.example");
    let own = || world.json(&["directory", "lookup", "2000000010", "--organization", "north"])["entries"][0]["address"].clone();
    assert_eq!((own(), says(&world, "2000000010").as_str()), (json!("b@direct.north.example"), "directory_unavailable"));
    world.good(&["directory", "rollback", "tenant_list", "--organization", "north"]);
    assert_eq!(own(), "a@direct.north.example");
    assert_eq!(world.run(&["directory", "import", "csv", "x.csv", "--map", "nonsense=1"]).code, 2);
}
