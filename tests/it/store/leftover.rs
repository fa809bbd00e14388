//! Documents nothing refers to, and directories that were never loaded to their end.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use postern::{
    crypto::DataKey,
    domain::{Clock as _, OrgId, OrgScope, ResultId, Timestamp, report::ResultStatus, route::DirectorySource},
    store::{
        blobs::{BlobError, Blobs},
        directory::{Counts, NewSnapshot, Snapshot},
        intake::{ResultTaken, StoredPdf},
        leftover::{DOCUMENT_AGE, Documents},
    },
};

use super::{make, world::World};

/// A file store beside the database.
struct Place {
    dir: tempfile::TempDir,
    blobs: Blobs,
    org: OrgId,
    key: Arc<DataKey>,
}

impl Place {
    async fn of(world: &World) -> Self {
        // Files are as old as they are: the clock of the store is the one that is set.
        world.set_time(postern::observe::SystemClock.now()).await;
        let dir = tempfile::tempdir().unwrap();
        let org = world.organization("north").await;
        let blobs = Blobs::in_folder(&dir.path().join("blobs")).unwrap();
        Self { blobs, org, key: world.store.key(org).await.unwrap(), dir }
    }

    async fn put(&self, content: &[u8]) -> StoredPdf {
        let sha256 = self.blobs.put(self.org, &self.key, content).await.unwrap();
        StoredPdf { name: self.key.blob_name(&sha256).unwrap(), sha256, bytes: content.len() as u64 }
    }

    async fn is_there(&self, pdf: &StoredPdf) -> bool {
        match self.blobs.get(self.org, &self.key, &pdf.sha256).await {
            Ok(_) => true,
            Err(BlobError::Missing) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn take(&self, world: &World, order_id: &str, pdf: &StoredPdf) -> ResultId {
        world.order(self.org, order_id).await;
        let report = make::report(order_id, ResultStatus::Final);
        let taken = world.store.take_result(self.org, &report, Some(pdf), None, make::WAIT).await.unwrap();
        let ResultTaken::New(id, _) = taken else { panic!("{taken:?}") };
        id
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("blobs").join(self.org.to_string())
    }

    /// As if everything there is had been stored two days ago.
    fn make_old(&self) {
        let now = postern::observe::SystemClock.now().micros();
        let old = Duration::from_micros(u64::try_from(now).unwrap()).saturating_sub(2 * DOCUMENT_AGE);
        for entry in fs::read_dir(self.folder()).unwrap() {
            let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + old).unwrap();
        }
    }

    async fn found(&self, world: &World) -> Documents {
        world.store.documents(&self.blobs, self.org).await.unwrap()
    }

    async fn removed(&self, world: &World) -> usize {
        world.store.remove_orphans(&self.blobs, self.org).await.unwrap()
    }
}

on_both_engines! {
    async fn a_document_nothing_refers_to_is_removed_a_day_after_it_was_stored(world: &World) {
        let place = Place::of(world).await;
        let (wanted, orphan) = (place.put(b"wanted").await, place.put(b"orphan").await);
        place.take(world, "A1", &wanted).await;
        fs::write(place.folder().join("abc#1"), "half a document").unwrap();
        assert_eq!(place.found(world).await, Documents { stored: 2, orphans: 0, missing: 0 }, "its result may be on its way");
        assert_eq!(place.removed(world).await, 0);

        world.pass(DOCUMENT_AGE + Duration::from_mins(1)).await;
        assert_eq!(place.found(world).await, Documents { stored: 2, orphans: 1, missing: 0 });
        assert_eq!(place.removed(world).await, 2, "the orphan, and what was never finished");
        assert!(place.is_there(&wanted).await && !place.is_there(&orphan).await);
        assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 1);
        assert_eq!(place.found(world).await, Documents { stored: 1, orphans: 0, missing: 0 });

        fs::remove_dir_all(place.folder()).unwrap();
        assert_eq!(place.found(world).await, Documents { stored: 0, orphans: 0, missing: 1 });
    }

    async fn an_old_orphan_that_is_sent_again_is_young_again_and_stays(world: &World) {
        let place = Place::of(world).await;
        let pdf = place.put(b"again").await;
        let before = Timestamp(postern::observe::SystemClock.now().micros() + 1);
        let listed = place.blobs.objects(place.org).await.unwrap().remove(0);
        // Between looking and moving aside the same document is stored for a result that is not on record yet.
        tokio::time::sleep(Duration::from_millis(20)).await;
        place.put(b"again").await;
        assert!(!place.blobs.set_aside(place.org, &listed, before).await.unwrap());
        assert!(place.is_there(&pdf).await);

        // Nobody has stored it since: it goes aside; and whoever stores it now makes a new one, which stays.
        let after = Timestamp(postern::observe::SystemClock.now().micros() + 60_000_000);
        assert!(place.blobs.set_aside(place.org, &listed, after).await.unwrap());
        assert!(!place.is_there(&pdf).await);
        place.put(b"again").await;
        place.take(world, "A1", &pdf).await;
        place.removed(world).await;
        assert!(place.is_there(&pdf).await);
        assert_eq!(fs::read_dir(place.folder()).unwrap().count(), 1, "what was aside is gone");
    }

    async fn what_a_crash_left_aside_is_put_back_when_a_result_refers_to_it(world: &World) {
        let place = Place::of(world).await;
        let (wanted, orphan) = (place.put(b"wanted").await, place.put(b"orphan").await);
        for object in place.blobs.objects(place.org).await.unwrap() {
            let later = Timestamp(postern::observe::SystemClock.now().micros() + 60_000_000);
            assert!(place.blobs.set_aside(place.org, &object, later).await.unwrap());
        }
        place.take(world, "A1", &wanted).await;
        assert!(!place.is_there(&wanted).await);
        assert_eq!(place.removed(world).await, 1);
        assert!(place.is_there(&wanted).await && !place.is_there(&orphan).await);
    }

    async fn documents_stored_while_it_is_tidied_up_are_all_there(world: &World) {
        let place = Place::of(world).await;
        for n in 0..10_u8 {
            place.put(&[n]).await;
        }
        // Everything stored so far is old; what is stored from now on is not.
        place.make_old();
        let coming_in = async {
            let mut taken = Vec::new();
            for n in (0..10_u8).rev() {
                let pdf = place.put(&[n]).await;
                place.take(world, &format!("A{n}"), &pdf).await;
                taken.push(pdf);
            }
            taken
        };
        let tidying = async {
            for _ in 0..10 {
                place.removed(world).await;
            }
        };
        let (taken, ()) = tokio::join!(coming_in, tidying);
        place.removed(world).await;
        for pdf in &taken {
            assert!(place.is_there(pdf).await);
        }
        assert_eq!(place.found(world).await, Documents { stored: 10, orphans: 0, missing: 0 });
    }

    async fn documents_of_another_database_are_not_taken_for_orphans(world: &World) {
        let place = Place::of(world).await;
        for n in 0..30_u8 {
            let pdf = place.put(&[n]).await;
            if n < 15 {
                place.take(world, &format!("A{n}"), &pdf).await;
            }
        }
        place.make_old();
        let refused = world.store.remove_orphans(&place.blobs, place.org).await.unwrap_err();
        assert!(refused.to_string().contains("15 of 30 documents"), "{refused}");
        assert_eq!(place.found(world).await, Documents { stored: 30, orphans: 15, missing: 0 });
    }

    async fn a_directory_whose_loading_broke_off_is_removed_by_the_next_and_one_being_loaded_is_not(world: &World) {
        let row = |npi: &str| postern::domain::route::DirectoryRow {
            npi: npi.parse().unwrap(),
            address: None,
            kind: None,
            rank: None,
            affiliation: postern::domain::route::AffiliatedWith::default(),
            active: true,
        };
        let new = |file| NewSnapshot { source: DirectorySource::DirectTrust, org: None, file };
        let broken = world.store.begin_snapshot(new("broken")).await.unwrap();
        world.store.add_to_snapshot(&broken, &[row("1234567893")]).await.unwrap();
        let slow = world.store.begin_snapshot(new("slow")).await.unwrap();
        world.pass(Duration::from_mins(50)).await;
        world.store.add_to_snapshot(&slow, &[row("1234567893")]).await.unwrap();
        world.pass(Duration::from_mins(50)).await;
        world.store.begin_snapshot(new("next")).await.unwrap();
        assert_eq!(world.texts("SELECT file FROM directory_snapshot ORDER BY file").await, ["next", "slow"]);
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 1);
        world.store.activate_snapshot(&slow, 1, &Counts::new()).await.unwrap();
        let active: Option<Snapshot> = world.store.active_snapshot(DirectorySource::DirectTrust, None).await.unwrap();
        assert_eq!(active.unwrap().id, slow.id);
        world.pass(Duration::from_mins(61)).await;
        assert_eq!(world.store.remove_unloaded().await.unwrap(), 1);
        assert!(world.store.active_snapshot(DirectorySource::DirectTrust, None).await.unwrap().is_some());
        assert!(world.store.organizations(OrgScope::All).await.unwrap().is_empty());
    }
}
