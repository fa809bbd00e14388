//! RSA-PSS: believed where PKCS#1 v1.5 is, unless its parameters weaken it. Made by the `openssl` command.

use postern::{
    domain::Reason,
    trust::{
        Anchors, Certificate, Policy, RecipientCertificate, TrustError,
        authority::{Authority, Binding, Issued, KeyKind, Order},
        choose,
        revocation::List,
    },
};

use super::world::{Bench, DAY, Forge, INNER, RECIPIENT, address, now, order, root};

#[test]
fn a_message_signed_with_rsa_pss_is_accepted_with_parameters_that_count_and_refused_with_others() {
    let forge = Forge::good();
    let pss = "-keyopt rsa_padding_mode:pss";
    let judged = |sign: &str| forge.desk().open(&forge.message(INNER, sign, "")).map(drop).map_err(|error| error.reason());
    for good in [
        pss.to_owned(),
        format!("{pss} -keyopt rsa_pss_saltlen:32"),
        format!("{pss} -nodetach"),
        format!("{pss} -noattr"),
        format!("-md sha384 {pss} -keyopt rsa_pss_saltlen:48"),
        format!("-md sha512 {pss} -keyopt rsa_pss_saltlen:64"),
    ] {
        assert_eq!(judged(&good), Ok(()), "{good}");
    }
    for weak in [
        format!("{pss} -keyopt rsa_pss_saltlen:0"),
        format!("{pss} -keyopt rsa_pss_saltlen:20"),
        format!("{pss} -keyopt rsa_mgf1_md:sha1"),
        format!("{pss} -keyopt rsa_mgf1_md:sha512"),
        format!("-md sha1 {pss}"),
    ] {
        assert_eq!(judged(&weak), Err(Reason::WeakAlgorithm), "{weak}");
    }
    let signed = String::from_utf8(forge.sign(&super::world::wrapped(INNER), &format!("-md sha256 {pss}"))).unwrap();
    let changed = signed.replace("The report", "No report");
    let message = super::world::under(super::world::HEADERS, &forge.encrypt(changed.as_bytes(), "-aes-256-cbc"));
    assert_eq!(forge.desk().open(&message).map(drop).map_err(|error| error.reason()), Err(Reason::BadSignature));
}

#[test]
fn a_certificate_signed_with_rsa_pss_is_believed_by_the_same_rule() {
    let bench = Bench::new();
    let ca = Authority::new("PSS", KeyKind::Rsa(2048), now().minus(DAY * 30), now().plus(DAY * 3000)).unwrap();
    bench.file("ca.pem", ca.certificate().pem().unwrap());
    bench.file("ca.key", ca.key_pem().unwrap());
    let recipient: Issued =
        root().issue(&Order { key: KeyKind::Rsa(2048), ..order(Binding::Address(address(RECIPIENT))) }).unwrap();
    bench.file("recipient.key", recipient.key_pem().unwrap());
    bench.file("ext", format!("subjectAltName=email:{RECIPIENT}\nkeyUsage=critical,digitalSignature,keyEncipherment\n"));
    bench.openssl("req -new -key recipient.key -subj /CN=recipient -out recipient.csr").unwrap();
    let anchors = Anchors::new(vec![ca.certificate().clone()]);
    let certified = |options: &str| -> Result<(), TrustError> {
        let line = format!(
            "x509 -req -in recipient.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 9000 -extfile ext -out end.pem {options}"
        );
        bench.openssl(&line).unwrap();
        let end = Certificate::read_all(&bench.read("end.pem")).unwrap().remove(0);
        // It was made by today's clock, so it is judged by its own first instant.
        let at = end.valid_from().plus(DAY);
        choose(&[end], Policy::new(&anchors, &[]), &address(RECIPIENT), at).map(drop)
    };
    let pss = "-sigopt rsa_padding_mode:pss";
    for good in [
        format!("-sha256 {pss} -sigopt rsa_pss_saltlen:32"),
        format!("-sha384 {pss} -sigopt rsa_pss_saltlen:48"),
        format!("-sha256 {pss} -sigopt rsa_pss_saltlen:222"),
    ] {
        certified(&good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for weak in [
        format!("-sha1 {pss} -sigopt rsa_pss_saltlen:20"),
        format!("-sha256 {pss} -sigopt rsa_pss_saltlen:0"),
        format!("-sha256 {pss} -sigopt rsa_mgf1_md:sha1 -sigopt rsa_pss_saltlen:32"),
    ] {
        assert_eq!(certified(&weak).unwrap_err().reason(), Reason::WeakAlgorithm, "{weak}");
    }
}

#[test]
fn a_revocation_list_signed_with_rsa_pss_is_the_issuers_by_the_same_rule() {
    let bench = Bench::new();
    let ca = Authority::new("PSS", KeyKind::Rsa(2048), now().minus(DAY * 30), now().plus(DAY * 3000)).unwrap();
    bench.file("ca.pem", ca.certificate().pem().unwrap());
    bench.file("ca.key", ca.key_pem().unwrap());
    bench.file("index.txt", "");
    bench.file("conf", "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n");
    for (options, counts) in [
        ("-sigopt rsa_pss_saltlen:32", true),
        ("-sigopt rsa_pss_saltlen:0", false),
        ("-sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha1", false),
    ] {
        let pss = "-sigopt rsa_padding_mode:pss";
        bench.openssl(&format!("ca -gencrl -config conf -keyfile ca.key -cert ca.pem -out list.pem {pss} {options}")).unwrap();
        let list = List::from_file(bench.read("list.pem")).unwrap();
        assert_eq!(list.is_by(ca.certificate()), counts, "{options}");
    }
}

#[test]
fn a_key_that_may_sign_with_pss_alone_is_no_key_of_a_direct_certificate() {
    let bench = Bench::new();
    bench.openssl("genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key").unwrap();
    bench.file(
        "conf",
        format!("[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nsubjectAltName=email:{RECIPIENT}\n"),
    );
    bench.openssl("req -x509 -config conf -key pss.key -subj /CN=recipient -days 30 -out pss.pem").unwrap();
    let certificate = Certificate::read_all(&bench.read("pss.pem")).unwrap().remove(0);
    let at = certificate.valid_from().plus(DAY);
    let error = RecipientCertificate::checked(certificate, &address(RECIPIENT), at).unwrap_err();
    assert_eq!(error.reason(), Reason::KeyAlgorithm, "{error}");
}
