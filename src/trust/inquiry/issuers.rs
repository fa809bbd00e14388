//! Issuers' certificates that a path lacks, from where its certificates say they are (RFC 5280 4.2.2.1, caIssuers).

use openssl::pkcs7::Pkcs7;
use tokio::time::Instant;

use super::Completed;
use crate::{
    domain::{Timestamp, statement::StatementKind},
    trust::{
        Certificate, Policy, TrustError,
        certificate::is_pem,
        inquiry::shelf::{Published, Shelf, Wanted},
        path,
        pointers::Pointers,
    },
};

/// Most rounds of asking: each can climb one step.
const MOST_ROUNDS: usize = 5;
/// Most certificates that are asked about.
const MOST_QUESTIONS: usize = 8;
/// Most certificates taken from one answer.
const MOST_CERTIFICATES: usize = 32;

/// Searches a path; where it ends too soon, asks for the issuer and searches on. What is known already comes first.
pub(super) async fn complete(
    shelf: &std::sync::Arc<Shelf>,
    certificate: &Certificate,
    policy: &Policy<'_>,
    at: Timestamp,
    deadline: Instant,
) -> Completed {
    let mut intermediates = policy.intermediates.to_vec();
    let (mut asked, mut unanswered, mut fetched): (Vec<Certificate>, _, Vec<Wanted>) = (Vec::new(), None, Vec::new());
    let mut round = 0;
    loop {
        let failed = match path::search(certificate, &intermediates, policy.anchors, at) {
            Ok(path) => {
                // Only what helped a path to an anchor is worth keeping: strangers cannot fill the store.
                for wanted in fetched {
                    shelf.keep_issuers(&wanted, path.certificates()).await;
                }
                return Completed { path: Ok(path), intermediates, unanswered: None };
            }
            Err(failed) => *failed,
        };
        // An issuer at hand may be out of date while a renewed one is published.
        let whom = if matches!(failed.error, TrustError::PathOutOfDate { .. }) { failed.reached } else { failed.ends };
        let whom: Vec<Certificate> = whom.into_iter().filter(|end| !asked.contains(end) && !end.is_self_issued()).collect();
        if whom.is_empty() || round >= MOST_ROUNDS || policy.anchors.certificates().is_empty() {
            return Completed { path: Err(failed.error), intermediates, unanswered };
        }
        round += 1;
        for end in whom {
            if asked.len() >= MOST_QUESTIONS {
                break;
            }
            asked.push(end.clone());
            for url in Pointers::of(&end).issuers {
                let wanted = Wanted::new(StatementKind::Issuer, &url, &end, &end);
                let had = shelf.want(wanted.clone(), deadline).await;
                if let Some(problem) = had.problem.filter(|problem| problem.temporary) {
                    unanswered = unanswered.or(Some(problem.words));
                }
                let Some(Published::Issuers(found)) = had.published else { continue };
                let issuers: Vec<Certificate> = found.iter().filter(|found| issued(found, &end)).cloned().collect();
                if !issuers.is_empty() {
                    intermediates.extend(issuers);
                    fetched.push(wanted);
                    break;
                }
            }
        }
    }
}

/// Whether `issuer` signed `certificate`.
pub(super) fn issued(issuer: &Certificate, certificate: &Certificate) -> bool {
    certificate.names_as_issuer(issuer) && certificate.is_signed_by(issuer)
}

/// The certificates in what a server gave: one certificate or a PKCS#7 of several, DER or (what RFC 5280 does not allow and
/// servers do) PEM. None when it is nothing of the kind.
pub(super) fn read(bytes: &[u8]) -> Vec<Certificate> {
    let found = if is_pem(bytes) {
        Pkcs7::from_pem(bytes).map(|set| inside(&set)).or_else(|_| Certificate::read_all(bytes))
    } else {
        Certificate::from_der(bytes)
            .map(|one| vec![one])
            .or_else(|error| Pkcs7::from_der(bytes).map(|set| inside(&set)).map_err(|_| error))
    };
    let mut found = found.unwrap_or_default();
    found.truncate(MOST_CERTIFICATES);
    found
}

fn inside(set: &openssl::pkcs7::Pkcs7Ref) -> Vec<Certificate> {
    let all = set.signed().and_then(openssl::pkcs7::Pkcs7SignedRef::certificates);
    all.into_iter().flatten().take(MOST_CERTIFICATES).filter_map(|x509| Certificate::from_x509(x509).ok()).collect()
}
