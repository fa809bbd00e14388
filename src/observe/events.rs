//! One type for each thing that happens. Its log line, its metric and its line in the audit trail come from the same
//! declaration, so they cannot drift: the event `result_held` is logged as `event=result_held` and counted in
//! `postern_result_held_total`, divided by the words after `by`; a length of time after `timing` is also a histogram,
//! `postern_..._seconds`. What is `audited` is handed to the store with who did it, and is logged and counted once it is on
//! record: in the chain of the organization after `of`, otherwise in the installation's; `about` says which object it is about.

use std::{collections::BTreeMap, time::Duration};

use super::facts::{Configured, Digest, Door, Fact, Factor, Host, Lookup, Named, OrgOf, Turned, Word};
use crate::domain::{
    Reason,
    alert::{AlertKind, Channel, Happened},
    audit::{Audited, Entry, Outcome},
    choice::Decides,
    delivery::{NoticeKind, State},
    id::{
        AlertId, BundleId, CertificateId, DeliveryId, InboundId, LetterId, OrderKey, OrgId, ParkedId, PersonId, ProcessId,
        ReplyId, ResultId, RosterId, SessionId, SnapshotId, TokenId, WebhookId,
    },
    identity::Nearness,
    inbound::{NoticeVerdict, Way},
    order::Action,
    organization::SendMode,
    person::{Right, Role},
    report::ResultStatus,
    statement::StatementKind,
    webhook::OffBecause,
};

/// What an event puts on record, if it does.
macro_rules! audited {
    ($event:ident [$($life:tt)*] $name:literal) => {};
    ($event:ident [$($life:tt)*] $name:literal $outcome:ident $(of $org:ident)? $(about $kind:literal $object:ident)?) => {
        impl $($life)* Audited for $event $($life)* {
            fn entry(&self) -> Entry {
                Entry {
                    org: [$(OrgOf::org(&self.$org),)? None][0],
                    action: $name,
                    object: [$(Some(($kind, Fact::told(&self.$object))),)? None].into_iter().next().flatten(),
                    outcome: Outcome::$outcome,
                    facts: self.told(),
                }
            }

            fn announce(&self) {
                self.emit();
            }
        }
    };
}

macro_rules! events {
    ($(
        #[doc = $doc:literal]
        $level:ident $event:ident $(<$life:lifetime>)? = $name:literal
            { $($fact:ident: $type:ty),* $(,)? }
            $(by { $($word:ident: $words:ty),+ $(,)? })?
            $(timing { $time:ident })?
            $(audited as $outcome:ident { $(of $org:ident)? $(about $kind:literal $object:ident)? })?
    )+) => {
        $(
            #[doc = $doc]
            #[derive(Debug, Clone, Copy)]
            #[expect(missing_docs, reason = "a fact's name and type say what it is")]
            pub struct $event $(<$life>)? {
                $(pub $fact: $type,)*
                $($(pub $word: $words,)+)?
                $(pub $time: Duration,)?
            }

            impl $(<$life>)? $event $(<$life>)? {
                /// Everything it says, to be put on record.
                #[must_use]
                pub fn told(&self) -> BTreeMap<&'static str, String> {
                    let facts = [
                        $((stringify!($fact), Fact::told(&self.$fact)),)*
                        $($((stringify!($word), Fact::told(&self.$word)),)+)?
                    ];
                    facts.into_iter().filter(|(_, told): &(&str, String)| !told.is_empty()).collect()
                }

                /// Logs it and counts it.
                pub fn emit(&self) {
                    tracing::event!(
                        target: "postern",
                        tracing::Level::$level,
                        event = $name,
                        $($fact = Fact::shown(&self.$fact),)*
                        $($($word = Fact::shown(&self.$word),)+)?
                        $($time = Fact::shown(&self.$time),)?
                        message = $doc.trim_start()
                    );
                    metrics::counter!(
                        concat!("postern_", $name, "_total")
                        $($(, stringify!($word) => Word::word(&self.$word))+)?
                    ).increment(1);
                    $(metrics::histogram!(concat!("postern_", $name, "_seconds")).record(self.$time.as_secs_f64());)?
                }
            }

            audited! { $event [$(<$life>)?] $name $($outcome $(of $org)? $(about $kind $object)?)? }
        )+

        /// Tells the recorder what each metric counts.
        pub(super) fn describe() {
            $(
                metrics::describe_counter!(concat!("postern_", $name, "_total"), $doc.trim_start());
                $(metrics::describe_histogram!(
                    concat!("postern_", $name, "_seconds"),
                    metrics::Unit::Seconds,
                    concat!("How long it ", stringify!($time), ":", $doc)
                );)?
            )+
        }
    };
}

events! {
    /// The process has begun its work.
    INFO Started = "started" { process: ProcessId }
    /// The process was asked to stop: it takes nothing new and finishes what runs.
    INFO Stopping = "stopping" { process: ProcessId, running: usize }
    /// The process has stopped; what was not finished is released.
    INFO Stopped = "stopped" { process: ProcessId, released: usize } timing { took }
    /// The work on a delivery took longer than its lease, so what came of it is not recorded. Nothing is lost and nothing is charged twice: whoever takes it up next goes on from the state it is in. If it happens often, raise lease in [worker] or look for what is slow.
    WARN LeaseLost = "lease_lost" { org: OrgId, delivery: DeliveryId, state: Option<State> }

    /// An order is durable.
    INFO OrderAccepted = "order_accepted" { org: OrgId, order: OrderKey } by { action: Action, door: Door }
    /// A result is durable.
    INFO ResultAccepted = "result_accepted" { org: OrgId, result: ResultId } by { status: ResultStatus, door: Door }
    /// A result has its deliveries.
    INFO ResultRouted = "result_routed" { org: OrgId, result: ResultId, deliveries: usize }
    /// A result waits for its order or for a directory to answer.
    INFO ResultWaiting = "result_waiting" { org: OrgId, result: ResultId } by { reason: Reason }
    /// A result needs a person.
    WARN ResultHeld = "result_held" { org: OrgId, result: ResultId } by { reason: Reason }
    /// A result is deliberately not sent.
    INFO ResultNotSent = "result_not_sent" { org: OrgId, result: ResultId } by { reason: Reason }

    /// The relay or MX took a message.
    INFO DeliveryAccepted = "delivery_accepted" { org: OrgId, delivery: DeliveryId, attempt: u32 } by { mode: SendMode } timing { took }
    /// The other side said later, or could not be reached.
    INFO DeliveryDeferred = "delivery_deferred" { org: OrgId, delivery: DeliveryId, attempt: u32, wait: Duration } by { reason: Reason }
    /// A delivery will not be sent.
    WARN DeliveryRefused = "delivery_refused" { org: OrgId, delivery: DeliveryId, attempt: u32 } by { reason: Reason }
    /// A message may have arrived: the conversation ended after it began and before an answer.
    WARN DeliveryUnknown = "delivery_unknown" { org: OrgId, delivery: DeliveryId, attempt: u32 }
    /// A delivery needs a person.
    WARN DeliveryHeld = "delivery_held" { org: OrgId, delivery: DeliveryId } by { reason: Reason }
    /// A delivery was cancelled before anything left.
    INFO DeliveryCancelled = "delivery_cancelled" { org: OrgId, delivery: DeliveryId }
    /// A newer version took the place of a delivery before anything left.
    INFO DeliverySuperseded = "delivery_superseded" { org: OrgId, delivery: DeliveryId }
    /// A person had a delivery tried again.
    INFO DeliveryRetried = "delivery_retried" { org: OrgId, delivery: DeliveryId }
    /// A charge is on record.
    INFO ChargeMade = "charge_made" { org: OrgId, delivery: DeliveryId }

    /// A charge is given back.
    INFO CreditMade = "credit_made" { org: OrgId, delivery: DeliveryId }

    /// A notice moved a delivery.
    INFO NoticeApplied = "notice_applied" { org: OrgId, delivery: DeliveryId } by { kind: NoticeKind }
    /// What a notice says changes nothing: it is recorded.
    INFO NoticeIgnored = "notice_ignored" { org: OrgId, inbound: InboundId, delivery: Option<DeliveryId> } by { verdict: NoticeVerdict }
    /// The receiving side never said that it opened a message.
    WARN DeliveryExpired = "delivery_expired" { org: OrgId, delivery: DeliveryId }
    /// A message was opened, and its final place never confirmed: it counts as delivered.
    INFO DeliveryUnconfirmed = "delivery_unconfirmed" { org: OrgId, delivery: DeliveryId }
    /// A failed delivery goes another way instead.
    WARN DeliveryFellBack = "delivery_fell_back" { org: OrgId, delivery: DeliveryId, made: usize }
    /// A failed delivery has no other way left: a person must look.
    WARN FallbackHeld = "fallback_held" { org: OrgId, delivery: DeliveryId }
    /// The wall clock jumped: nothing expires until it is back, or the gateway is started again.
    ERROR ClockParted = "clock_parted" { apart: Duration }
    /// The wall clock is back: deliveries expire again.
    INFO ClockTogether = "clock_together" { process: ProcessId }

    /// A message for people came in.
    INFO LetterReceived = "letter_received" { org: OrgId, letter: LetterId }
    /// Somebody read the content of a message: it is about a patient.
    INFO LetterRead = "letter_read" { org: OrgId, letter: LetterId } audited as Done { of org about "letter" letter }
    /// A message that came in was not opened or not trusted: nothing was done, and nobody was told.
    INFO MailRejected = "mail_rejected" { inbound: InboundId } by { reason: Reason }
    /// A message that came in could not be looked at, however often it was tried.
    ERROR MailFailed = "mail_failed" { inbound: InboundId }
    /// A notice that we owed was handed over.
    INFO ReplySent = "reply_sent" { org: OrgId, reply: ReplyId } by { kind: NoticeKind }
    /// A notice that we owed could not be sent.
    WARN ReplyRefused = "reply_refused" { org: OrgId, reply: ReplyId } by { kind: NoticeKind }

    /// A relay cannot be reached: nothing is tried there for a while, and no delivery loses an attempt.
    ERROR RelayBreakerOpened<'a> = "relay_breaker_opened" { relay: Configured<'a>, wait: Duration }
    /// A relay answers again.
    INFO RelayBreakerClosed<'a> = "relay_breaker_closed" { relay: Configured<'a> }

    /// An item of a feed cannot be taken: it is kept for a person and acknowledged.
    WARN FeedItemParked<'a> = "feed_item_parked" { org: OrgId, feed: Configured<'a> }
    /// A feed does not answer: it is asked again later.
    WARN FeedUnavailable<'a> = "feed_unavailable" { feed: Configured<'a>, wait: Duration }
    /// A file of a watched folder cannot be taken: it is moved aside, with the reason beside it.
    WARN FolderFileFailed<'a> = "folder_file_failed" { org: OrgId, folder: Configured<'a> }
    /// A watched folder cannot be read or written.
    ERROR FolderUnavailable<'a> = "folder_unavailable" { folder: Configured<'a> }

    /// Name servers or a directory were asked for certificates and answered.
    DEBUG DiscoveryAnswered = "discovery_answered" {} by { source: Lookup } timing { took }
    /// Name servers or a directory were asked for certificates and did not answer.
    WARN DiscoveryUnavailable = "discovery_unavailable" {} by { source: Lookup } timing { took }
    /// An issuer's server did not give what was asked of it; it is left alone for a while.
    WARN StatementUnavailable<'a> = "statement_unavailable" { host: Host<'a>, wait: Duration } by { kind: StatementKind }
    /// What an issuer published has changed: whoever is believed is judged anew.
    INFO StatementChanged<'a> = "statement_changed" { host: Host<'a> } by { kind: StatementKind }
    /// A certificate is believed although its revocation cannot be told: the organization's rules say soft_fail.
    WARN RevocationUnchecked = "revocation_unchecked" { org: OrgId }
    /// A person has read an item that could not be taken: patient data.
    WARN ParkedItemRead = "parked_item_read" { org: OrgId, item: ParkedId } audited as Done { of org about "parked_item" item }
    /// A person had an item taken that could not be taken before.
    INFO ParkedItemReplayed = "parked_item_replayed" { org: OrgId, item: ParkedId, result: ResultId }
    /// A person has thrown away an item that could not be taken.
    WARN ParkedItemDiscarded = "parked_item_discarded" { org: OrgId, item: ParkedId } audited as Done { of org about "parked_item" item }
    /// Documents that belong to nothing were removed.
    INFO LeftoversRemoved = "leftovers_removed" { org: OrgId, documents: usize }
    /// The end of a ledger was signed. In the log it is out of reach of whoever can change the database.
    INFO LedgerSigned<'a> = "ledger_signed" { org: OrgId, line: u64, hash: Digest<'a>, signature: Digest<'a> }
    /// One of our own certificates ends soon, and no other takes its place.
    WARN IdentityExpires = "identity_expires" { org: OrgId, certificate: CertificateId, days: u64 } by { nearness: Nearness }
    /// A bundle of trust anchors has changed and is in force.
    INFO BundleChanged = "bundle_changed" { org: OrgId, bundle: BundleId, anchors: usize, added: usize, removed: usize }
    /// A bundle would lose so many anchors that a person has to look; the old one stays in force.
    WARN BundleShrunk = "bundle_shrunk" { org: OrgId, bundle: BundleId, good: usize, lost: usize, left: usize }
    /// A bundle cannot be had or cannot be used; the old one stays in force.
    WARN BundleFailed = "bundle_failed" { org: OrgId, bundle: BundleId }
    /// A message for one of our addresses is durable.
    INFO MailKept = "mail_kept" { inbound: InboundId, bytes: usize } by { way: Way }
    /// A message for one of our addresses was not taken at the door.
    WARN MailRefused = "mail_refused" { } by { reason: Turned }
    /// A mailbox cannot be looked into: it is tried again later.
    WARN MailboxUnavailable<'a> = "mailbox_unavailable" { relay: Configured<'a>, wait: Duration }
    /// A mailbox answers again.
    INFO MailboxAvailable<'a> = "mailbox_available" { relay: Configured<'a> }
    /// Clocks have run out, and a mailbox that the answers may lie in cannot be looked into: the deliveries wait for it, for as long as mailbox_patience in [track] says.
    WARN ClocksHeld<'a> = "clocks_held" { relay: Configured<'a>, deliveries: u64 }
    /// No clock waits for that mailbox any more.
    INFO ClocksFreed<'a> = "clocks_freed" { relay: Configured<'a> }
    /// A delivery's time is up although the mailbox its answer may lie in could not be looked into since: it was waited for long enough.
    ERROR DeliveryExpiredUnseen = "delivery_expired_unseen" { org: OrgId, delivery: DeliveryId }
    /// A message in a mailbox is larger than we fetch: it stays there, and a person has to look.
    ERROR MailTooLarge<'a> = "mail_too_large" { relay: Configured<'a>, bytes: u32 }

    /// A webhook has taken what there was for it.
    DEBUG WebhookTold = "webhook_told" { org: OrgId, webhook: WebhookId }
    /// A webhook did not take an event: it is tried again.
    WARN WebhookFailed = "webhook_failed" { org: OrgId, webhook: WebhookId, attempt: u32 }
    /// A webhook is told no more until somebody switches it on.
    ERROR WebhookOff = "webhook_off" { org: OrgId, webhook: WebhookId } by { because: OffBecause }
    /// A webhook was away for longer than events are kept: it has missed some.
    ERROR EventsMissed = "events_missed" { org: OrgId, webhook: WebhookId, count: u64 }
    /// Something that people are told of began, got worse, is escalated or is over.
    WARN AlertChanged = "alert_changed" { alert: AlertId, org: Option<OrgId> } by { kind: AlertKind, happened: Happened }
    /// Somebody cares for an alert.
    INFO AlertAcknowledged = "alert_acknowledged" { alert: AlertId }
    /// People were told of alerts.
    INFO AlertsTold = "alerts_told" { org: Option<OrgId>, tellings: usize } by { channel: Channel } timing { took }
    /// People could not be told of alerts: it is kept and tried again.
    ERROR AlertsNotTold = "alerts_not_told" { org: Option<OrgId>, tellings: usize, wait: Duration } by { channel: Channel }

    /// A person decided about where results go: the decision, with who and why, is on record.
    INFO DecisionMade = "decision_made" { org: OrgId, result: Option<ResultId>, rerouted: usize } by { what: Decides }
    /// A version of a payer's roster is in force.
    INFO RosterLoaded = "roster_loaded" { org: OrgId, roster: RosterId, lines: u64, members: u64 }
    /// A directory was loaded.
    INFO DirectoryLoaded = "directory_loaded" { snapshot: SnapshotId, entries: usize }

    /// Somebody signed in.
    INFO SignedIn = "signed_in" { person: PersonId } by { factor: Factor } audited as Done { about "person" person }
    /// Whoever an OpenID provider vouches for is this person, from now on.
    WARN ProviderLinked = "provider_linked" { person: PersonId } audited as Done { about "person" person }
    /// Whomever an OpenID provider took for this person, it is forgotten.
    WARN ProviderForgotten = "provider_forgotten" { person: PersonId } audited as Done { about "person" person }
    /// Somebody did not get in: a wrong name, password or code.
    WARN SignInFailed = "sign_in_failed" { person: Option<PersonId>, wrong: u32 } by { factor: Factor } audited as Refused { about "person" person }
    /// Too many wrong tries: nobody gets in under that name, or from that address, for a while.
    WARN SignInLocked = "sign_in_locked" { person: Option<PersonId>, wrong: u32, wait: Duration } audited as Refused { about "person" person }
    /// Somebody signed out.
    INFO SignedOut = "signed_out" { person: PersonId } audited as Done { about "person" person }
    /// Somebody ended one of their sessions elsewhere.
    INFO SessionEnded = "session_ended" { person: PersonId, session: SessionId } audited as Done { about "session" session }
    /// Somebody ended every session of theirs.
    INFO SessionsEnded = "sessions_ended" { person: PersonId } audited as Done { about "person" person }
    /// Somebody chose another password.
    INFO PasswordChanged = "password_changed" { person: PersonId } audited as Done { about "person" person }
    /// Somebody set codes up for signing in.
    INFO CodesSetUp = "codes_set_up" { person: PersonId } audited as Done { about "person" person }
    /// Somebody asked for something that their role, or their token, may not.
    WARN RightMissing = "right_missing" {} by { right: Right } audited as Refused { }
    /// A request came from a page of somebody else, or without the mark of ours.
    WARN ForeignRequest = "foreign_request" { session: SessionId } audited as Refused { about "session" session }

    /// Somebody is let in from now on.
    WARN PersonAdded<'a> = "person_added" { person: PersonId, login: Named<'a>, organizations: usize } by { role: Role } audited as Done { about "person" person }
    /// Somebody is let in no more.
    WARN PersonDisabled = "person_disabled" { person: PersonId } audited as Done { about "person" person }
    /// Somebody is let in again.
    WARN PersonEnabled = "person_enabled" { person: PersonId } audited as Done { about "person" person }
    /// Somebody has a new first password.
    WARN PersonReset = "person_reset" { person: PersonId } audited as Done { about "person" person }
    /// Somebody's codes were taken away: they set them up anew.
    WARN CodesRemoved = "codes_removed" { person: PersonId } audited as Done { about "person" person }
    /// Somebody has another role, or sees other organizations.
    WARN RoleGiven = "role_given" { person: PersonId, organizations: usize } by { role: Role } audited as Done { about "person" person }
    /// A token of the API was made.
    WARN TokenMade<'a> = "token_made" { org: Option<OrgId>, token: TokenId, name: Named<'a>, rights: usize } audited as Done { of org about "token" token }
    /// A token of the API takes the place of others of its name.
    WARN TokenRotated<'a> = "token_rotated" { org: Option<OrgId>, token: TokenId, name: Named<'a> } audited as Done { of org about "token" token }
    /// Tokens of the API let nobody in any more.
    WARN TokenRevoked<'a> = "token_revoked" { org: Option<OrgId>, name: Named<'a> } audited as Done { of org }

    /// Somebody looked at who the patient of an order is.
    INFO PatientRevealed = "patient_revealed" { org: OrgId, order: OrderKey } audited as Done { of org about "order" order }
    /// Somebody looked at the document of a result.
    INFO DocumentRevealed = "document_revealed" { org: OrgId, result: ResultId } audited as Done { of org about "result" result }
    /// Somebody has asked the roster about a member by an order that nobody has handed in.
    INFO RosterAsked = "roster_asked" { org: OrgId } audited as Done { of org }
    /// Somebody looked at a message that matches no organization.
    WARN UnmatchedRead = "unmatched_read" { inbound: InboundId } audited as Done { about "inbound" inbound }
    /// Somebody had a delivery tried again, cancelled or sent anew.
    INFO DeliveryAsked<'a> = "delivery_asked" { org: OrgId, delivery: DeliveryId, asked: Configured<'a> } audited as Done { of org about "delivery" delivery }
    /// Somebody took data out, or looked for them: a report, an export of the ledger or of the audit trail.
    INFO DataExported<'a> = "data_exported" { org: Option<OrgId>, what: Configured<'a> } audited as Done { of org }
    /// Somebody has compared a month's ledger with the HISP's usage and stands for it.
    INFO ReconciliationSigned<'a> = "reconciliation_signed" { org: OrgId, month: Configured<'a>, matched: u64, differences: u64 } audited as Done { of org }
    /// Somebody has sent a file by the console, to be read, compared or loaded.
    INFO FileUploaded<'a> = "file_uploaded" { org: Option<OrgId>, what: Configured<'a>, octets: u64 } audited as Done { of org }
    /// The metering system was told of ledger lines.
    INFO LedgerTold = "ledger_told" { org: OrgId, lines: usize }
    /// The metering system did not take a ledger line: it is tried again.
    WARN LedgerNotTold = "ledger_not_told" { org: OrgId, attempt: u32, wait: Duration }
    /// Somebody changed what an installation or an organization goes by.
    WARN SettingChanged<'a> = "setting_changed" { org: Option<OrgId>, what: Configured<'a>, which: Named<'a> } audited as Done { of org }
    /// Somebody ran a command on the machine.
    INFO CommandRun<'a> = "command_run" { org: Option<OrgId>, command: Named<'a>, organization: Named<'a>, name: Named<'a> } audited as Done { of org }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_log_line_and_one_count_and_both_say_the_same() {
        let (org, delivery) = (OrgId::new(), DeliveryId::new());
        let lines = Lines::default();
        let writer = lines.clone();
        let logger = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            tracing::subscriber::with_default(logger, || {
                describe();
                let took = Duration::from_millis(1500);
                DeliveryAccepted { org, delivery, attempt: 2, mode: SendMode::StaRelay, took }.emit();
                RelayBreakerOpened { relay: Configured("hisp-a"), wait: Duration::from_secs(5) }.emit();
                DeliveryHeld { org, delivery, reason: Reason::TestMode }.emit();
                DeliveryHeld { org, delivery, reason: Reason::TestMode }.emit();
            });
        });

        let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let first: serde_json::Value = serde_json::from_str(logged.lines().next().unwrap()).unwrap();
        for (field, value) in [
            ("event", "delivery_accepted".into()),
            ("message", "The relay or MX took a message.".into()),
            ("level", "INFO".into()),
            ("org", org.to_string().into()),
            ("delivery", delivery.to_string().into()),
            ("attempt", serde_json::Value::from(2)),
            ("mode", "sta_relay".into()),
            ("took", 1500.into()),
        ] {
            assert_eq!(first[field], value, "{field} in {first}");
        }
        assert!(logged.lines().nth(1).unwrap().contains("\"relay\":\"hisp-a\""), "{logged}");

        let counted = recorder.handle().render();
        for line in [
            "postern_delivery_accepted_total{mode=\"sta_relay\"} 1",
            "postern_delivery_held_total{reason=\"test_mode\"} 2",
            "postern_relay_breaker_opened_total 1",
            "postern_delivery_accepted_seconds_sum 1.5",
            "# HELP postern_delivery_held_total A delivery needs a person.",
        ] {
            assert!(counted.contains(line), "{line} in\n{counted}");
        }
        assert!(!counted.contains(&org.to_string()), "an id divides a metric:\n{counted}");
    }
}
