use super::*;
use serde::Deserialize as _;
use serde_json::{Value, json};

const TODAY: &str = "2026-10-01";

fn direct(id: &str, address: &str) -> Value {
    json!({ "resourceType": "Endpoint", "id": id, "status": "active", "address": address,
            "connectionType": { "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "direct-project" } })
}

fn practitioner(id: &str, npi: &str) -> Value {
    json!({ "resourceType": "Practitioner", "id": id, "active": true, "name": [{ "family": "SAMPLE", "given": ["AVERY"] }],
            "identifier": [{ "system": "http://terminology.hl7.org/NamingSystem/npi", "value": npi }] })
}

fn role(practitioner: &str, organization: Option<&str>, endpoints: &[&str]) -> Value {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| json!({ "reference": endpoint })).collect();
    let mut role = json!({ "resourceType": "PractitionerRole", "active": true, "endpoint": endpoints,
                           "practitioner": { "reference": practitioner } });
    if let Some(organization) = organization {
        role["organization"] = json!({ "reference": organization });
    }
    role
}

fn north() -> Value {
    json!({ "resourceType": "Organization", "id": "n", "name": "North Clinic LLC",
            "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": "2000000044" }],
            "address": [{ "city": "DAYTON", "state": "OH", "postalCode": "45402-0001" }] })
}

fn items(resources: &[Value]) -> Vec<Item> {
    let mut graph = Graph::new(TODAY);
    let each = |value: &Value| value.clone();
    let mut items = Vec::new();
    for value in resources.iter().map(each) {
        let name = value["fullUrl"].as_str().unwrap_or_default().to_owned();
        items.extend(graph.learn(&Resource::deserialize(&value).unwrap(), &name, 1));
    }
    graph.close();
    for value in resources {
        let name = value["fullUrl"].as_str().unwrap_or_default();
        items.extend(graph.say(&Resource::deserialize(value).unwrap(), name, 2));
    }
    items
}

fn rows(resources: &[Value]) -> Vec<DirectoryRow> {
    items(resources).into_iter().filter_map(|item| item.row).collect()
}

fn said(resources: &[Value]) -> Vec<String> {
    let address = |row: &DirectoryRow| row.address.as_ref().map_or("-".to_owned(), ToString::to_string);
    rows(resources).iter().map(|row| format!("{} {}", row.npi, address(row))).collect()
}

#[test]
fn an_npi_leads_over_a_role_to_a_direct_endpoint_and_its_organization() {
    let all = [
        role("Practitioner/p", Some("Organization/n"), &["Endpoint/e", "Endpoint/web"]),
        practitioner("p", "2000000010"),
        direct("e", "avery@direct.north.example"),
        json!({ "resourceType": "Endpoint", "id": "web", "status": "active", "address": "looks@direct.example",
                "connectionType": { "code": "hl7-fhir-rest" } }),
        north(),
    ];
    let rows = rows(&all);
    let row = rows.iter().find(|row| row.npi.as_str() == "2000000010").unwrap();
    assert_eq!(row.address.as_ref().unwrap().as_str(), "avery@direct.north.example");
    assert_eq!(row.kind, Some(AddressKind::Personal));
    let at = &row.affiliation;
    assert_eq!(at.npi.as_ref().unwrap().as_str(), "2000000044");
    let place = (at.name.as_deref(), at.state.as_deref(), at.postal_code.as_deref());
    assert_eq!(place, (Some("North Clinic LLC"), Some("OH"), Some("454020001")));
    assert_eq!(said(&all).len(), 2, "the organization itself is known, without an address");
    assert!(!said(&all).iter().any(|said| said.contains("looks@")), "the type decides");
}

#[test]
fn a_role_may_have_no_organization_and_an_address_shared_by_several_is_an_organizations() {
    let all = [
        direct("e", "desk@d.example"),
        practitioner("p", "2000000010"),
        practitioner("q", "2000000028"),
        role("Practitioner/p", None, &["Endpoint/e"]),
        role("https://other.example/fhir/Practitioner/q/_history/3", None, &["Endpoint/e"]),
    ];
    let rows = rows(&all);
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.kind == Some(AddressKind::Organization)), "{rows:?}");
    assert!(rows.iter().all(|row| row.affiliation == AffiliatedWith::default()));
}

#[test]
fn an_organization_has_its_own_endpoint_and_members_have_theirs() {
    let mut own = north();
    own["endpoint"] = json!([{ "reference": "Endpoint/e",
        "extension": [{ "url": "http://hl7.org/fhir/us/ndh/StructureDefinition/base-ext-endpoint-rank", "valuePositiveInt": 2 }] }]);
    let affiliation = json!({ "resourceType": "OrganizationAffiliation", "organization": { "reference": "Organization/hie" },
        "participatingOrganization": { "reference": "Organization/n" }, "endpoint": [{ "reference": "Endpoint/f" }] });
    let rows = rows(&[direct("e", "a@d.example"), direct("f", "b@d.example"), own, affiliation]);
    let of: Vec<_> = rows.iter().map(|row| (row.address.as_ref().unwrap().as_str(), row.kind, row.rank)).collect();
    let organization = Some(AddressKind::Organization);
    assert_eq!(of, [("a@d.example", organization, Some(2)), ("b@d.example", organization, None)]);
}

#[test]
fn only_an_email_marked_as_direct_is_a_direct_address() {
    let mut person = practitioner("p", "2000000010");
    let mark =
        |value: bool| json!([{ "url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-direct", "valueBoolean": value }]);
    person["telecom"] = json!([
        { "system": "email", "value": "mailto:direct@d.example", "extension": mark(true) },
        { "system": "email", "value": "mail@d.example" },
        { "system": "email", "value": "no@d.example", "extension": mark(false) },
        { "system": "email", "value": "gone@d.example", "use": "old", "extension": mark(true) },
        { "system": "phone", "value": "phone@d.example", "extension": mark(true) },
        { "system": "email", "value": "x@d.example?subject=y", "extension": mark(true) },
    ]);
    let items = items(&[person]);
    let addresses: Vec<_> =
        items.iter().filter_map(|item| item.row.as_ref()?.address.as_ref().map(ToString::to_string)).collect();
    assert_eq!(addresses, ["direct@d.example"]);
    assert_eq!(items.iter().filter(|item| item.reject.is_some()).count(), 1);
}

#[test]
fn what_is_over_or_switched_off_is_left_out() {
    let over = |mut resource: Value| {
        resource["period"] = json!({ "end": "2026-09-30T00:00:00Z" });
        resource
    };
    let mut off = direct("off", "off@d.example");
    off["status"] = json!("entered-in-error");
    let mut error = direct("error", "error@d.example");
    error["status"] = json!("error");
    let mut inactive = role("Practitioner/p", None, &["Endpoint/e"]);
    inactive["active"] = json!(false);
    let all = [
        practitioner("p", "2000000010"),
        direct("e", "e@d.example"),
        over(direct("over", "over@d.example")),
        off,
        error,
        inactive,
        over(role("Practitioner/p", None, &["Endpoint/e"])),
        role("Practitioner/p", None, &["Endpoint/over", "Endpoint/off", "Endpoint/error", "#contained", "Endpoint/nowhere"]),
    ];
    assert_eq!(said(&all), ["2000000010 error@d.example"], "what 'error' means differs from release to release");
}

#[test]
fn resources_that_refer_to_each_other_in_a_circle_cost_nothing() {
    let mut circle = north();
    circle["partOf"] = json!({ "reference": "Organization/n" });
    circle["endpoint"] = json!([{ "reference": "Organization/n" }, { "reference": "Endpoint/e" }, { "reference": "Endpoint/e" }]);
    let mut endpoint = direct("e", "e@d.example");
    endpoint["managingOrganization"] = json!({ "reference": "Organization/n" });
    let said = said(&[circle, endpoint, role("PractitionerRole/x", Some("PractitionerRole/x"), &["PractitionerRole/x"])]);
    assert_eq!(said, ["2000000044 e@d.example", "2000000044 e@d.example"]);
}

#[test]
fn a_bundle_may_name_its_entries_by_urn() {
    let mut endpoint = direct("", "e@d.example");
    endpoint["fullUrl"] = json!("urn:uuid:1");
    let mut person = practitioner("", "2000000010");
    person["fullUrl"] = json!("urn:uuid:2");
    assert_eq!(said(&[endpoint, person, role("urn:uuid:2", None, &["urn:uuid:1"])]), ["2000000010 e@d.example"]);
}

#[test]
fn npis_are_read_from_either_system_as_text_or_number_and_their_absence_is_noticed() {
    let mut number = practitioner("p", "");
    number["identifier"] = json!([{ "system": "urn:other", "value": "1" }, { "system": "http://hl7.org/fhir/sid/us-npi", "value": 2_000_000_010_u64 }]);
    assert_eq!(said(&[number]), ["2000000010 -"]);
    let wrong = items(&[practitioner("p", "9941339108")]);
    assert_eq!(wrong[0].reject.as_ref().unwrap().column, "identifier");

    let mut graph = Graph::new(TODAY);
    assert!(!graph.found_no_npi());
    let unknown = json!({ "resourceType": "Practitioner", "identifier": [{ "system": "urn:new", "value": "2000000010" }] });
    graph.say(&Resource::deserialize(&unknown).unwrap(), "", 1);
    assert!(graph.found_no_npi());
}

#[test]
fn the_connection_type_may_be_a_list_of_concepts() {
    let mut endpoint = direct("e", "e@d.example");
    endpoint["connectionType"] = json!([{ "coding": [{ "code": "direct-project" }] }]);
    let all = [endpoint, practitioner("p", "2000000010"), role("Practitioner/p", None, &["Endpoint/e"])];
    assert_eq!(said(&all), ["2000000010 e@d.example"]);
}
