//! One letter: the document, the message around it, and the seal, made in reused buffers on a bounded number of threads.

use std::sync::{Arc, Mutex};

use super::{Gateway, beliefs::Credential, delivering::Obstacle};
use crate::{
    document::{Confidentiality, Earlier, Facts, Relation, Sender, unstructured},
    domain::{OffsetTime, Timestamp, organization::PatientId, report::ResultStatus},
    observe::chain,
    seal::{self, Category, Context, Letter, Seal, Sealer},
    store::{
        delivery::Work,
        organization::{Identity, Organization},
    },
    trust::Trusted,
};

/// Reused buffers: one bench for each delivery at work, so memory is bounded by concurrency times three messages.
#[derive(Default)]
pub(super) struct Benches(Arc<Mutex<Vec<Bench>>>);

/// The buffers one letter is made in.
#[derive(Default)]
struct Bench {
    cda: Vec<u8>,
    sealer: Sealer,
    message: Vec<u8>,
}

/// A bench in use; it goes back when dropped.
struct Taken {
    bench: Option<Bench>,
    home: Arc<Mutex<Vec<Bench>>>,
}

impl Benches {
    fn take(&self) -> Taken {
        let bench = self.0.lock().map(|mut idle| idle.pop()).ok().flatten().unwrap_or_default();
        Taken { bench: Some(bench), home: Arc::clone(&self.0) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let (Some(bench), Ok(mut idle)) = (self.bench.take(), self.home.lock()) {
            idle.push(bench);
        }
    }
}

/// A finished letter, ready for the wire.
pub(super) struct Written {
    on: Taken,
    /// SHA-256 of the message.
    pub(super) sha256: [u8; 32],
}

impl Written {
    /// The complete message: sealed in the sta modes, clear in edge mode.
    pub(super) fn message(&self) -> &[u8] {
        self.on.bench.as_ref().map_or(&[], |bench| &bench.message)
    }
}

/// What a letter goes out under.
pub(super) struct Letterhead {
    pub(super) organization: Arc<Organization>,
    pub(super) identity: Identity,
    pub(super) at: Timestamp,
    /// Whether the message asks to be told of the final place.
    pub(super) asks_dispatched: bool,
}

impl Gateway {
    /// Writes and seals one letter on the CPU pool.
    pub(super) async fn write_letter(
        &self,
        head: Letterhead,
        work: &Work,
        pdf: Vec<u8>,
        credential: &Arc<Credential>,
        trusted: Option<Arc<Trusted>>,
    ) -> Result<Written, Obstacle> {
        let place = self.cpu.acquire().await.map_err(|_| Obstacle::Later("the gateway is stopping".into()))?;
        let (taken, work, credential) = (self.benches.take(), work.clone(), Arc::clone(credential));
        let written = tokio::task::spawn_blocking(move || write(taken, &head, &work, &pdf, &credential, trusted.as_deref()));
        let written = written.await.map_err(|error| Obstacle::Later(format!("writing the letter failed: {error}")))?;
        drop(place);
        written
    }
}

fn write(
    mut on: Taken,
    head: &Letterhead,
    work: &Work,
    pdf: &[u8],
    credential: &Credential,
    trusted: Option<&Trusted>,
) -> Result<Written, Obstacle> {
    let Some(bench) = on.bench.as_mut() else { return Err(Obstacle::Later("no bench".into())) };
    let file = &head.organization.file;
    let sender = Sender::of(file, &work.order.site);
    let made_at = head.at.in_zone(&file.time_zone);
    let received_at = work.received_at.in_zone(&file.time_zone);
    let patient_id = patient_id(head, work);
    let (set_id, version) = set_and_version(work);
    let facts = Facts {
        document_id: work.document_id,
        set_id,
        version,
        relation: relation(work),
        order: &work.order,
        report: &work.report,
        sender: &sender,
        patient_id,
        recipient: work.target.recipient.as_ref(),
        address: Some(&work.target.address),
        confidentiality: Confidentiality::Normal,
        received_at,
        made_at,
    };
    unstructured::write(&facts, pdf, &mut bench.cda).map_err(|error| Obstacle::Never(error.reason(), error.to_string()))?;

    let recipient =
        work.target.recipient.as_ref().and_then(|recipient| recipient.name.as_ref()).map(crate::domain::order::PersonName::plain);
    let patient = work.order.patient.name.plain();
    let mrn = file.document.assigning_authority.as_deref().zip(work.order.patient.local_id.as_deref());
    let letter = Letter {
        from: &head.identity.address,
        to: &work.target.address,
        message_id: &work.message_id,
        date: made_at,
        corrected: work.report.status == ResultStatus::Corrected,
        wants_dispatched: head.asks_dispatched,
        facts: seal::Facts {
            organization: &sender.organization.name,
            phone: sender.site.phone.as_deref(),
            site: &sender.site.name,
            order_id: &work.order.order_id,
            title: work.report.title.as_deref().unwrap_or("Diagnostic report"),
            completed_at: completed_at(work, received_at),
            recipient: recipient.as_deref(),
            patient: &patient,
            birth_date: &work.order.patient.birth_date,
        },
        context: Context {
            category: category(work.report.document_code.as_deref().unwrap_or(&file.document.document_code)),
            patient_id: if patient_id == PatientId::Mrn { mrn } else { None },
            patient: &work.order.patient,
        },
        cda: &bench.cda,
        pdf: None,
    };
    let sha256 = if let (Credential::Signer(signer), Some(trusted)) = (credential, trusted) {
        let profile = file.profile(&work.target.address);
        let with = Seal { signer, recipient: trusted.recipient(), profile, at: head.at };
        let sealed = bench.sealer.seal_letter(&letter, with, &mut bench.message);
        sealed.map_err(|error| Obstacle::Hold(error.reason(), chain(&error)))?.sha256
    } else {
        // The HISP seals: it gets the inner message.
        bench.message.clear();
        letter.compose(&mut bench.message).map_err(|error| Obstacle::Hold(error.reason(), chain(&error)))?;
        crate::crypto::sha256(&bench.message)
    };
    Ok(Written { on, sha256 })
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

fn patient_id(head: &Letterhead, work: &Work) -> PatientId {
    let rules = &head.organization.file.document;
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
