use super::*;

fn items(text: impl AsRef<[u8]>) -> Vec<Item> {
    let mut directory = CsvDirectory::new(text.as_ref(), &Mapping::default()).unwrap();
    std::iter::from_fn(|| directory.next_item().unwrap()).collect()
}

fn rows(text: impl AsRef<[u8]>) -> Vec<DirectoryRow> {
    items(text).into_iter().filter_map(|item| item.row).collect()
}

#[test]
fn our_own_columns_are_read_in_any_order_and_spelling() {
    let rows = rows(
        "\u{feff}\"Status\",Direct Address,NPI,Organization,ORG-NPI,Phone,State,ZIP,Rank\n\
         active,A@d.example,1234567893,North,2000000044,1,oh,45402-0001,2\n",
    );
    let row = &rows[0];
    assert_eq!(row.npi.as_str(), "1234567893");
    assert_eq!(row.address.as_ref().unwrap().as_str(), "A@d.example");
    assert_eq!(row.affiliation.name.as_deref(), Some("North"));
    assert_eq!(row.affiliation.npi.as_ref().unwrap().as_str(), "2000000044");
    assert_eq!((row.affiliation.state.as_deref(), row.affiliation.postal_code.as_deref()), (Some("OH"), Some("454020001")));
    assert_eq!((row.active, row.rank), (true, Some(2)));
}

#[test]
fn a_flat_file_of_people_and_organizations_is_read_and_says_whose_mailbox_it_is() {
    let rows = rows(
        "HISP,ORG_UID,ORG_NAME,ORG_NPI,PROV_UID,PROV_NPI,DIRECT_ADDRESS\n\
         H,o,North Clinic LLC,2000000044,,,results@n.example\n\
         H,o,North Clinic LLC,2000000044,p,2000000010,avery@n.example\n",
    );
    let of: Vec<_> = rows.iter().map(|row| (row.npi.as_str(), row.kind)).collect();
    assert_eq!(of, [("2000000044", Some(AddressKind::Organization)), ("2000000010", Some(AddressKind::Personal))]);
}

#[test]
fn columns_with_names_of_their_own_are_mapped_and_one_that_is_not_there_is_refused() {
    let text = "WHO,HOW TO REACH,WHERE\n2000000010,a@d.example,OH\n";
    let mut mapping = Mapping::default();
    mapping.set(Field::Npi, "Who");
    mapping.set(Field::Address, "how-to-reach");
    mapping.set(Field::State, "WHERE");
    let mut directory = CsvDirectory::new(text.as_bytes(), &mapping).unwrap();
    let row = directory.next_item().unwrap().unwrap().row.unwrap();
    assert_eq!((row.npi.as_str(), row.affiliation.state.as_deref()), ("2000000010", Some("OH")));
    mapping.set(Field::Rank, "preferred");
    let Err(refused) = CsvDirectory::new(text.as_bytes(), &mapping) else { panic!("taken") };
    assert!(refused.to_string().contains("no column \"preferred\""), "{refused}");
}

#[test]
fn a_bad_row_is_rejected_with_its_line_and_the_rest_is_read() {
    let items = items(
        "npi,address,organization,status\n\
         1234567890,a@d.example,,\n\
         1234567893,not an address,,\n\
         1234567893,a@d.example,\"x\ny\",\n\
         1234567893,a@d.example\n\
         ,a@d.example,,\n\
         1234567893,a@d.example,,perhaps\n\
         1234567893,a\0@d.example,,\n\
         1234567893,,,inactive\n",
    );
    let rejects: Vec<_> =
        items.iter().filter_map(|item| item.reject.as_ref()).map(|reject| (reject.line, reject.column.as_str())).collect();
    assert_eq!(rejects, [(2, "npi"), (3, "address"), (6, ""), (7, "npi"), (8, "status"), (9, "address")]);
    assert_eq!(items[2].row.as_ref().unwrap().affiliation.name.as_deref(), Some("x y"), "a name may break in the middle");
    let last = items.last().unwrap().row.as_ref().unwrap();
    assert!(!last.active && last.address.is_none());
}

#[test]
fn names_in_another_encoding_cost_no_address() {
    let rows = rows(b"npi,address,organization\n1234567893,a@d.example,Caf\xe9\n1234567893,\xe9@d.example,\n");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].affiliation.name.as_deref(), Some("Caf\u{fffd}"));
}

#[test]
fn a_header_that_says_too_little_or_too_much_is_refused() {
    let open = |text: &[u8]| CsvDirectory::new(text, &Mapping::default()).map(drop);
    for text in ["", "npi,phone\n", "address,organization\n", "npi,prov_npi,address\n"] {
        assert!(matches!(open(text.as_bytes()), Err(DirectoryError::Header { .. })), "{text}");
    }
    let utf16: Vec<u8> = "npi,address\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(open(&utf16), Err(DirectoryError::Encoding)));
}

#[test]
fn an_unclosed_quote_does_not_swallow_the_file() {
    let endless = "npi,address\n1234567893,\"".as_bytes().chain(io::repeat(b'x'));
    let mut directory = CsvDirectory::new(endless, &Mapping::default()).unwrap();
    assert!(matches!(directory.next_item(), Err(DirectoryError::Read { .. })));
}
