//! What issuers publish, shared by every process.

use std::time::Duration;

use postern::{
    config::revocation::RevocationSection,
    domain::{Reason, Timestamp, statement::StatementKind, strictness::TrustRules},
    store::statement::{Statement, StatementKey},
    trust::{
        Anchors, Certificate, Inquirer, Policy,
        authority::{Authority, Binding, KeyKind, Order},
    },
};

use super::world::{START, World};
use crate::revocation::issuer::{Issuer, Page};

const HOUR: Duration = Duration::from_hours(1);

fn key(url: &str) -> StatementKey {
    StatementKey { kind: StatementKind::List, url: url.to_owned(), about: "ab".to_owned() }
}

fn statement(url: &str, issued: Timestamp, body: &[u8]) -> Statement {
    Statement {
        key: key(url),
        issuer: "CN=Root".to_owned(),
        signer: vec![1, 2],
        body: body.to_vec(),
        this_update: issued,
        next_update: issued.plus(HOUR * 24),
        fetched_at: issued,
        refresh_at: issued.plus(HOUR),
        used_at: issued,
        problem: None,
    }
}

/// An authority whose list is at a server, and a certificate that says so.
struct Listed {
    issuer: Issuer,
    authority: Authority,
    certificate: Certificate,
}

impl Listed {
    async fn new() -> Self {
        let issuer = Issuer::start().await;
        let authority = Authority::new("Root", KeyKind::P256, START.minus(HOUR), START.plus(HOUR * 999)).unwrap();
        let binding = Binding::Address("pcp@direct.clinic.example".parse().unwrap());
        let order = Order::new(binding, START.minus(HOUR), START.plus(HOUR * 900));
        let order = Order { key: KeyKind::P256, crl_url: Some(issuer.url("/crl")), ..order };
        let certificate = authority.issue(&order).unwrap().certificate;
        Self { issuer, authority, certificate }
    }

    fn publish(&self, at: Timestamp, revoked: bool) {
        let revoked: &[&Certificate] = if revoked { &[&self.certificate] } else { &[] };
        self.issuer.put("/crl", Page::of(self.authority.revocation_list(revoked, at, at.plus(HOUR * 24)).unwrap()));
    }

    async fn reason(&self, inquirer: &Inquirer, at: Timestamp) -> Option<Reason> {
        let anchors = Anchors::new(vec![self.authority.certificate().clone()]);
        let strictness = TrustRules::default().sending();
        let policy = Policy::under(&strictness, &anchors, &[]);
        let address = "pcp@direct.clinic.example".parse().unwrap();
        inquirer.choose(std::slice::from_ref(&self.certificate), policy, &address, at).await.err().map(|error| error.reason())
    }
}

fn inquirer(store: &postern::store::Store) -> Inquirer {
    Inquirer::new(
        store.clone(),
        &RevocationSection { allow: vec!["127.0.0.0/8".parse().unwrap()], ..RevocationSection::default() },
    )
}

on_both_engines! {
    async fn a_statement_is_kept_whole_and_an_older_one_never_takes_its_place(world: &World) {
        let store = &world.store;
        store.keep_statement(&statement("http://a/", START, b"second")).await.unwrap();
        store.keep_statement(&statement("http://a/", START.minus(HOUR), b"first")).await.unwrap();
        let found = store.statement(&key("http://a/")).await.unwrap().unwrap();
        assert_eq!((found.body.as_slice(), found.this_update, found.signer.as_slice()), (b"second".as_slice(), START, [1, 2].as_slice()));
        assert_eq!(store.statement_age(&key("http://a/")).await.unwrap(), Some(START));
        store.keep_statement(&statement("http://a/", START.plus(HOUR), b"third")).await.unwrap();
        assert_eq!(store.statement(&key("http://a/")).await.unwrap().unwrap().body, b"third");
        assert!(store.statement(&key("http://b/")).await.unwrap().is_none());
        assert!(store.statements().await.unwrap()[0].body.is_empty(), "a list of statements leaves their bytes out");
    }

    async fn a_problem_is_noted_beside_what_was_had_before(world: &World) {
        let store = &world.store;
        store.note_statement_problem(&statement("http://new/", START, b""), "new answered 500").await.unwrap();
        let never = store.statement(&key("http://new/")).await.unwrap().unwrap();
        assert_eq!((never.fetched_at, never.problem.as_deref()), (Timestamp(0), Some("new answered 500")));
        store.keep_statement(&statement("http://new/", START, b"here")).await.unwrap();
        store.note_statement_problem(&statement("http://new/", START.plus(HOUR), b""), "again").await.unwrap();
        let found = store.statement(&key("http://new/")).await.unwrap().unwrap();
        assert_eq!((found.body.as_slice(), found.problem.as_deref(), found.fetched_at), (b"here".as_slice(), Some("again"), START));
        store.keep_statement(&statement("http://new/", START.plus(HOUR), b"newer")).await.unwrap();
        assert_eq!(store.statement(&key("http://new/")).await.unwrap().unwrap().problem, None);
    }

    async fn lists_that_are_due_and_in_use_are_asked_for_and_forgotten_when_nobody_needs_them(world: &World) {
        let store = &world.store;
        for (url, issued) in [("http://old/", START), ("http://new/", START.plus(HOUR * 3))] {
            store.keep_statement(&statement(url, issued, b"x")).await.unwrap();
        }
        let urls = |due: Vec<Statement>| due.into_iter().map(|one| one.key.url).collect::<Vec<_>>();
        let due = store.statements_due(START.plus(HOUR * 2), START.minus(HOUR), 10).await.unwrap();
        assert_eq!(urls(due), ["http://old/"]);
        let due = store.statements_due(START.plus(HOUR * 9), START.plus(HOUR), 10).await.unwrap();
        assert_eq!(urls(due), ["http://new/"], "the old one was of no use for long");
        store.statement_used(&key("http://old/"), START.plus(HOUR * 2)).await.unwrap();
        assert_eq!(urls(store.statements_due(START.plus(HOUR * 9), START.plus(HOUR), 1).await.unwrap()), ["http://old/"]);
        assert_eq!(store.forget_statements(START.plus(HOUR * 3)).await.unwrap(), 1);
        assert!(store.statement(&key("http://old/")).await.unwrap().is_none());
    }

    async fn what_one_process_fetched_the_others_have(world: &World) {
        let listed = Listed::new().await;
        listed.publish(START, false);
        let one = inquirer(&world.store);
        let other = inquirer(&world.neighbour(std::sync::Arc::clone(&world.clock)).await);
        assert_eq!(listed.reason(&one, START).await, None);
        assert_eq!(listed.reason(&other, START).await, None);
        assert_eq!(listed.issuer.asked("/crl"), 1);

        let later = START.plus(HOUR * 2);
        world.set_time(later).await;
        listed.publish(later, true);
        let refreshed = one.refresh_due().await;
        assert!(refreshed.len() == 1 && refreshed[0].problem.is_none(), "{refreshed:?}");
        assert_eq!(listed.reason(&other, later).await, Some(Reason::Revoked), "found in the store");
        assert_eq!(listed.issuer.asked("/crl"), 2);
    }
}
