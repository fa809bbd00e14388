//! One letter: the document, the message around it, and the seal, made in reused buffers on a bounded number of threads.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Gateway, beliefs::Credential, delivering::Obstacle};
use crate::{
    document::{Confidentiality, DocumentError, Earlier, Facts, Relation, Sender, unstructured, xdm},
    domain::{
        DirectAddress, OffsetTime, Timestamp,
        message::{Enclosure, Packaging, PdfPlace},
        order::{PersonName, Priority, Provider},
        organization::{OrganizationFile, PatientId},
        profile::{SealedWith, Shown},
        report::ResultStatus,
    },
    observe::chain,
    seal::{self, Category, Context, Enclosed, Letter, Seal, SealError, Sealer},
    store::{
        blobs::SealedPdf,
        delivery::Work,
        organization::{Identity, Organization},
    },
    trust::Trusted,
};

/// Reused buffers. A bench is needed while a letter is written, so there are as many as threads that write; a message until
/// it is sent, so there are as many as deliveries at work. Those used last are used next: they are still in the cache.
#[derive(Default)]
pub(super) struct Desk(Arc<Buffers>);

#[derive(Default)]
struct Buffers {
    benches: Mutex<Vec<Bench>>,
    messages: Mutex<Vec<Vec<u8>>>,
}

/// The buffers one letter is made in.
#[derive(Default)]
struct Bench {
    pdf: Vec<u8>,
    tools: Tools,
}

#[derive(Default)]
struct Tools {
    /// What goes into the message: the C-CDA, or the package around it.
    enclosed: Vec<u8>,
    sealer: Sealer,
}

/// A finished letter, ready for the wire. Its buffer goes back when it is dropped.
pub(super) struct Written {
    message: Vec<u8>,
    home: Arc<Buffers>,
    /// SHA-256 of the message.
    pub(super) sha256: [u8; 32],
    /// With which algorithms it was sealed; nothing in edge mode.
    pub(super) profile: Option<SealedWith>,
}

impl Written {
    /// The complete message: sealed in the sta modes, clear in edge mode.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        put_back(&self.home.messages, std::mem::take(&mut self.message));
    }
}

fn take<T: Default>(from: &Mutex<Vec<T>>) -> T {
    from.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

fn put_back<T>(to: &Mutex<Vec<T>>, buffer: T) {
    to.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
}

/// What a letter goes out under.
pub(super) struct Letterhead {
    pub(super) organization: Arc<Organization>,
    pub(super) identity: Identity,
    pub(super) at: Timestamp,
    /// What the recipient's domain has shown it understands.
    pub(super) shown: Shown,
    /// Whether the message asks to be told of the final place.
    pub(super) asks_dispatched: bool,
}

impl Gateway {
    /// Opens the PDF, writes the letter around it and seals it, all on one thread of the CPU pool.
    pub(super) async fn write_letter(
        &self,
        head: Letterhead,
        work: &Work,
        pdf: SealedPdf,
        credential: &Arc<Credential>,
        trusted: Option<Arc<Trusted>>,
    ) -> Result<Written, Obstacle> {
        let key = self.store.key(work.org).await?;
        let place = self.cpu.acquire().await.map_err(|_| Obstacle::Later("the gateway is stopping".into()))?;
        let (home, work, credential) = (Arc::clone(&self.desk.0), work.clone(), Arc::clone(credential));
        let written = tokio::task::spawn_blocking(move || {
            let mut letter = Written { message: take(&home.messages), home, sha256: [0; 32], profile: None };
            let mut bench = take(&letter.home.benches);
            let Bench { pdf: room, tools } = &mut bench;
            let opened = pdf.open_in(&key, room).map_err(Obstacle::from);
            let sealed =
                opened.and_then(|pdf| write(tools, &mut letter.message, &head, &work, pdf, &credential, trusted.as_deref()));
            put_back(&letter.home.benches, bench);
            (letter.sha256, letter.profile) = sealed?;
            Ok(letter)
        });
        let written = written.await.map_err(|error| Obstacle::Later(format!("writing the letter failed: {error}")))?;
        drop(place);
        written
    }
}

/// Writes one letter into `out`; returns its SHA-256, and with what it was sealed.
fn write(
    on: &mut Tools,
    out: &mut Vec<u8>,
    head: &Letterhead,
    work: &Work,
    pdf: &[u8],
    credential: &Credential,
    trusted: Option<&Trusted>,
) -> Result<([u8; 32], Option<SealedWith>), Obstacle> {
    let file = &head.organization.file;
    let sender = Sender::of(file, &work.order.site);
    let made_at = head.at.in_zone(&file.time_zone);
    let received_at = work.received_at.in_zone(&file.time_zone);
    let facts = facts(file, &sender, work, head.at);
    let patient_id = facts.patient_id;
    let enclosure = file.message.enclosure(&work.target.address);
    let enclosed = enclose(&facts, pdf, enclosure, &head.identity.address, out, &mut on.enclosed);
    enclosed.map_err(|error| Obstacle::Never(error.reason(), error.to_string()))?;

    let recipient = work.target.recipient.as_ref().and_then(|recipient| recipient.name.as_ref()).map(PersonName::plain);
    let named = |provider: Option<&Provider>| provider.and_then(|provider| provider.name.as_ref()).map(PersonName::plain);
    let (ordered_by, read_by) = (named(work.order.ordering_provider.as_ref()), named(work.report.author.as_ref()));
    let exam = work.order.procedure.as_ref().map(|exam| exam.display.as_deref().unwrap_or(&exam.code));
    let patient = work.order.patient.name.plain();
    let mrn = file.document.assigning_authority.as_deref().zip(work.order.patient.local_id.as_deref());
    let letter = Letter {
        from: &head.identity.address,
        to: &work.target.address,
        message_id: &work.message_id,
        date: made_at,
        status: work.report.status,
        wants_dispatched: head.asks_dispatched,
        facts: seal::Facts {
            organization: &sender.organization.name,
            phone: sender.site.phone.as_deref(),
            site: &sender.site.name,
            order_id: &work.order.order_id,
            title: facts.report_title(),
            completed_at: completed_at(work, received_at),
            urgent: work.priority == Priority::Urgent,
            exam,
            ordered_by: ordered_by.as_deref(),
            read_by: read_by.as_deref(),
            recipient: recipient.as_deref(),
            patient: &patient,
            birth_date: &work.order.patient.birth_date,
        },
        context: Context {
            category: category(work.report.document_code.as_deref().unwrap_or(&file.document.document_code)),
            patient_id: if patient_id == PatientId::Mrn { mrn } else { None },
            patient: &work.order.patient,
        },
        enclosed: match enclosure {
            Enclosure { packaging: Packaging::Attachment, pdf: place } => {
                Enclosed::Documents { cda: &on.enclosed, pdf: (place == PdfPlace::Beside).then_some(pdf) }
            }
            Enclosure { packaging: Packaging::Xdm, pdf: place } => {
                Enclosed::Package { zip: &on.enclosed, with_pdf: place == PdfPlace::Beside }
            }
        },
    };
    let (sha256, profile) = if let (Credential::Signer(signer), Some(trusted)) = (credential, trusted) {
        let profile = file.profile(&work.target.address, head.shown);
        let with = Seal { signer: &**signer, recipient: trusted.recipient(), profile, at: head.at };
        let sealed = on.sealer.seal_letter(&letter, with, out);
        let sealed = sealed.map_err(|error| unsealed(&error))?;
        (sealed.sha256, Some(sealed.with))
    } else {
        // The HISP seals: it gets the inner message.
        out.clear();
        letter.compose(out).map_err(|error| Obstacle::Hold(error.reason(), chain(&error)))?;
        (crate::crypto::sha256(out), None)
    };
    Ok((sha256, profile))
}

/// What the document of a delivery says when it is made at `at`.
pub(super) fn facts<'a>(file: &OrganizationFile, sender: &'a Sender, work: &'a Work, at: Timestamp) -> Facts<'a> {
    let (set_id, version) = set_and_version(work);
    Facts {
        document_id: work.document_id,
        set_id,
        version,
        relation: relation(work),
        order: &work.order,
        report: &work.report,
        sender,
        patient_id: patient_id(file, work),
        recipient: work.target.recipient.as_ref(),
        address: Some(&work.target.address),
        confidentiality: Confidentiality::Normal,
        received_at: work.received_at.in_zone(&file.time_zone),
        made_at: at.in_zone(&file.time_zone),
    }
}

/// A token that does not answer may answer later; what is wrong with the message stays wrong.
fn unsealed(error: &SealError) -> Obstacle {
    if matches!(error, SealError::Token(_)) {
        return Obstacle::Later(chain(error));
    }
    Obstacle::Hold(error.reason(), chain(error))
}

/// Makes what the message encloses, into `out`. A package is made around a document in `room`, which is where the message
/// comes into later, so that it costs no buffer of its own.
fn enclose(
    facts: &Facts<'_>,
    pdf: &[u8],
    how: Enclosure,
    from: &DirectAddress,
    room: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), DocumentError> {
    match how.packaging {
        Packaging::Attachment => unstructured::write(facts, pdf, out).map(|_| ()),
        Packaging::Xdm => {
            unstructured::write(facts, pdf, room)?;
            let beside = (how.pdf == PdfPlace::Beside).then_some(pdf);
            xdm::write(&xdm::Package { facts, from: Some(from), cda: room, pdf: beside }, out)
        }
    }
}

/// The versions of a report are one set; an addendum stands beside it, in a set of its own (CDA R2 4.2.3.1).
fn set_and_version(work: &Work) -> (uuid::Uuid, u32) {
    if work.report.status == ResultStatus::Addendum {
        (uuid::Uuid::new_v5(&work.set_id, format!("addendum {}", work.version).as_bytes()), 1)
    } else {
        (work.set_id, work.version)
    }
}

/// What this document does to what the target has got before. A target that got nothing gets no relation.
fn relation(work: &Work) -> Option<Relation> {
    let parent = work.parent?;
    let earlier = Earlier { id: Some(parent.document_id), set_id: work.set_id, version: parent.version };
    match work.report.status {
        ResultStatus::Addendum => Some(Relation::Appends(earlier)),
        ResultStatus::Final | ResultStatus::Corrected | ResultStatus::Preliminary | ResultStatus::Resend => {
            Some(Relation::Replaces(earlier))
        }
    }
}

fn patient_id(file: &OrganizationFile, work: &Work) -> PatientId {
    let rules = &file.document;
    match rules.patient_id_own_site {
        Some(own) if work.target.own_site => own,
        _ => rules.patient_id,
    }
}

fn completed_at(work: &Work, received_at: OffsetTime) -> OffsetTime {
    work.report.completed_at.unwrap_or(received_at)
}

/// LOINC 11502-2 is the laboratory report; what else we send is imaging.
fn category(document_code: &str) -> Category {
    if document_code == "11502-2" { Category::Laboratory } else { Category::Radiology }
}
