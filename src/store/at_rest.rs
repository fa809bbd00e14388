//! Data keys of organizations: made once, wrapped by the master key, kept open in memory; and sealing with them.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{OnceCell, RwLock};

use super::{Doing as _, Result, Store, StoreError};
use crate::{
    crypto::{DataKey, MasterKey, keys::aad},
    domain::OrgId,
};

/// The open data keys.
pub struct KeyRing {
    master: MasterKey,
    open: RwLock<HashMap<OrgId, Arc<DataKey>>>,
    installation: OnceCell<Arc<DataKey>>,
}

impl KeyRing {
    pub(super) fn new(master: MasterKey) -> Self {
        Self { master, open: RwLock::default(), installation: OnceCell::new() }
    }

    /// A new key for a new organization, and its wrapped form for the database.
    pub(super) fn generate(&self, org: OrgId) -> Result<(Arc<DataKey>, Vec<u8>)> {
        let key = DataKey::generate()?;
        let wrapped = key.wrap(&self.master, org)?;
        Ok((Arc::new(key), wrapped))
    }
}

impl Store {
    /// The data key of an organization.
    ///
    /// # Errors
    /// When there is no such organization or the master key is not the one its key was wrapped with.
    pub async fn key(&self, org: OrgId) -> Result<Arc<DataKey>> {
        if let Some(key) = self.keys.open.read().await.get(&org) {
            return Ok(Arc::clone(key));
        }
        let wrapped: Option<Vec<u8>> = on!(&self.db, pool =>
            sqlx::query_scalar("SELECT data_key FROM organization WHERE id = $1").bind(org.to_string()).fetch_optional(pool).await)
        .doing("read an organization's data key")?;
        let wrapped = wrapped.ok_or(StoreError::NoOrganization)?;
        let key = DataKey::unwrap(&self.keys.master, org, &wrapped).map_err(|_| StoreError::Sealed("data key"))?;
        let key = Arc::new(key);
        self.keys.open.write().await.insert(org, Arc::clone(&key));
        Ok(key)
    }

    /// The data key of what belongs to no organization; made when it is first needed.
    pub(super) async fn installation_key(&self) -> Result<Arc<DataKey>> {
        self.keys.installation.get_or_try_init(|| self.open_installation_key()).await.cloned()
    }

    async fn open_installation_key(&self) -> Result<Arc<DataKey>> {
        // Stands where an organization's id would: no organization has it.
        let nobody = OrgId(uuid::Uuid::nil());
        let (_, wrapped) = self.keys.generate(nobody)?;
        let now = self.clock.now().micros();
        // Whoever is first makes it; everybody then reads the same one.
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO installation_key (id, data_key, created_at) VALUES ('installation', $1, $2) ON CONFLICT (id) DO NOTHING")
            .bind(&wrapped).bind(now).execute(pool).await.map(drop))
        .doing("make the installation's data key")?;
        let wrapped: Vec<u8> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT data_key FROM installation_key").fetch_one(pool).await)
                .doing("read the installation's data key")?;
        let key = DataKey::unwrap(&self.keys.master, nobody, &wrapped).map_err(|_| StoreError::Sealed("data key"))?;
        Ok(Arc::new(key))
    }
}

/// Seals the content of one column of one row, so that it cannot be moved to another.
pub(super) fn seal(key: &DataKey, org: OrgId, what: &'static str, row: uuid::Uuid, plain: &[u8]) -> Result<Vec<u8>> {
    Ok(key.seal(&aad(org, what, row, 1), plain)?)
}

/// Opens what [`seal`] sealed.
pub(super) fn open(
    key: &DataKey,
    org: OrgId,
    what: &'static str,
    row: uuid::Uuid,
    sealed: &[u8],
) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    key.open(&aad(org, what, row, 1), sealed).map_err(|_| StoreError::Sealed(what))
}
