//! Revocation lists: those that count and those that must not.

use postern::{
    domain::Reason,
    trust::{
        Crls, Revocation,
        authority::{Authority, Binding, KeyKind},
    },
};

use super::world::{DAY, Forge, INNER, SENDER, address, now, order, root};

fn lists(all: &[Vec<u8>]) -> Crls {
    let mut crls = Crls::default();
    for der in all {
        crls.add(der).unwrap();
    }
    crls
}

#[test]
fn only_a_current_list_of_the_issuer_itself_is_believed() {
    let forge = Forge::good();
    let message = forge.message(INNER, "", "");
    let signer = &forge.sender.certificate;
    let impostor = Authority::new("Test root", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap();
    let foreign = Authority::new("Somebody else", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap();
    let (before, after) = (now().minus(DAY), now().plus(DAY));
    let revoking = root().revocation_list(&[signer], before, after).unwrap();
    let clean = root().revocation_list(&[], before, after).unwrap();
    let cases = [
        ("revoked", vec![revoking.clone()], Some(Reason::Revoked), Some(Reason::Revoked)),
        ("one of two lists revokes", vec![clean.clone(), revoking], Some(Reason::Revoked), Some(Reason::Revoked)),
        ("clean", vec![clean], None, None),
        ("no list", vec![], None, Some(Reason::TrustUnavailable)),
        ("forged", vec![impostor.revocation_list(&[signer], before, after).unwrap()], None, Some(Reason::TrustUnavailable)),
        ("foreign", vec![foreign.revocation_list(&[signer], before, after).unwrap()], None, Some(Reason::TrustUnavailable)),
        (
            "outdated",
            vec![root().revocation_list(&[signer], now().minus(DAY * 9), now().minus(DAY)).unwrap()],
            None,
            Some(Reason::TrustUnavailable),
        ),
        (
            "of the future",
            vec![root().revocation_list(&[signer], after, now().plus(DAY * 9)).unwrap()],
            None,
            Some(Reason::TrustUnavailable),
        ),
    ];
    for (case, crls, soft, hard) in cases {
        let mut desk = forge.desk();
        desk.crls = lists(&crls);
        for (mode, expected) in [(Revocation::Soft, soft), (Revocation::Hard, hard), (Revocation::Off, None)] {
            desk.revocation = mode;
            assert_eq!(desk.open(&message).err().map(|error| error.reason()), expected, "{case}, {mode}");
        }
    }
}

#[test]
fn a_revoked_intermediate_revokes_what_it_issued() {
    let middle = root().intermediate("Middle", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap();
    let forge = Forge::new(middle.issue(&order(Binding::Address(address(SENDER)))).unwrap());
    let mut desk = forge.desk();
    desk.intermediates = vec![middle.certificate().clone()];
    desk.crls = lists(&[
        root().revocation_list(&[middle.certificate()], now().minus(DAY), now().plus(DAY)).unwrap(),
        middle.revocation_list(&[], now().minus(DAY), now().plus(DAY)).unwrap(),
    ]);
    let error = desk.open(&forge.message(INNER, "", "")).unwrap_err();
    assert_eq!(error.reason(), Reason::Revoked);
}
