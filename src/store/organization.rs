//! Organizations, their sites, identities and prices.

use super::{
    Doing as _, Result, Store, Tx, at_rest,
    identity_key::{self, NewKey},
    price::insert_prices,
    read, read_json, webhook, write_json,
};
use crate::crypto::DataKey;
use crate::domain::{
    DirectAddress, IdentityId, OrgId, OrgScope, Timestamp,
    organization::{Mode, OrganizationFile, SendMode, SiteFile},
};

/// A customer and its rules.
#[derive(Debug, Clone)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// What was applied last.
    pub file: OrganizationFile,
    /// The addresses it sends from, the default first.
    pub identities: Vec<Identity>,
    /// The installation's own, for who has none: from the configuration, not the store, so put there by whoever reads that.
    pub installation: Vec<Identity>,
}

/// A Direct address an organization sends from.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The address.
    pub address: DirectAddress,
    /// How its mail leaves.
    pub mode: SendMode,
    /// The relay, unless it goes to the recipient's MX.
    pub relay: Option<String>,
    /// PEM certificate and chain (sta modes).
    pub certificate: Option<String>,
    /// Whether a private key or password is on record.
    pub has_secret: bool,
}

/// An identity to be stored, with its secret in the clear for this moment only.
pub struct NewIdentity {
    /// The address.
    pub address: DirectAddress,
    /// How its mail leaves.
    pub mode: SendMode,
    /// The relay.
    pub relay: Option<String>,
    /// PEM certificate and chain.
    pub certificate: Option<String>,
    /// Private key (PEM) or mailbox password; `None` keeps what is on record, unless the mode changes: the key of one mode
    /// must never be sent as the password of another.
    pub secret: Option<zeroize::Zeroizing<Vec<u8>>>,
}

impl Organization {
    /// The site with this key.
    #[must_use]
    pub fn site(&self, local_id: &str) -> Option<&SiteFile> {
        self.file.sites.iter().find(|site| site.local_id == local_id)
    }

    /// Whether results of this site are real.
    #[must_use]
    pub fn mode(&self, site: &str) -> Mode {
        self.site(site).and_then(|site| site.mode).unwrap_or(self.file.mode)
    }

    /// The identity results of this site are sent from: the site's, else the organization's first, else the installation's
    /// first. A site may name any of its organization's and of the installation's.
    #[must_use]
    pub fn identity(&self, site: &str) -> Option<&Identity> {
        let named = self.site(site).and_then(|site| site.identity.as_ref());
        match named {
            Some(address) => self.identities.iter().chain(&self.installation).find(|identity| identity.address == *address),
            None => self.identities.first().or_else(|| self.installation.first()),
        }
    }
}

type OrganizationRow = (String, String);
type IdentityRow = (String, String, String, Option<String>, Option<String>, bool);

impl Store {
    /// The organization with this slug, if the scope may see it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn organization_by_slug(&self, scope: OrgScope, slug: &str) -> Result<Option<Organization>> {
        let id: Option<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM organization WHERE slug = $1").bind(slug).fetch_optional(pool).await)
                .doing("look an organization up")?;
        let Some(id) = id else { return Ok(None) };
        let id: OrgId = read("organization id", &id)?;
        if scope.org().is_some_and(|only| only != id) {
            return Ok(None);
        }
        self.organization(id).await
    }

    /// One organization with its identities.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn organization(&self, id: OrgId) -> Result<Option<Organization>> {
        let row: Option<OrganizationRow> = on!(&self.db, pool =>
            sqlx::query_as("SELECT id, file FROM organization WHERE id = $1").bind(id.to_string()).fetch_optional(pool).await)
        .doing("read an organization")?;
        let Some((_, file)) = row else { return Ok(None) };
        let rows: Vec<IdentityRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, address, mode, relay, certificate, secret IS NOT NULL OR (mode <> 'edge' AND EXISTS (
                SELECT 1 FROM identity_key k WHERE k.org_id = identity.org_id AND k.address_key = identity.address_key))
             FROM identity WHERE org_id = $1 ORDER BY position")
            .bind(id.to_string()).fetch_all(pool).await)
        .doing("read identities")?;
        let identities = rows.into_iter().map(identity).collect::<Result<_>>()?;
        Ok(Some(Organization {
            id,
            file: read_json("organization file", file.as_bytes())?,
            identities,
            installation: Vec::new(),
        }))
    }

    /// Every organization the scope may see, by slug.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn organizations(&self, scope: OrgScope) -> Result<Vec<Organization>> {
        let ids: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT id FROM organization WHERE ($1 IS NULL OR id = $1) ORDER BY slug")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list organizations")?;
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            all.extend(self.organization(read("organization id", &id)?).await?);
        }
        Ok(all)
    }

    /// Creates or changes an organization: rules, sites, identities, and prices that are new. All of it or nothing.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn apply_organization(&self, file: &OrganizationFile, identities: &[NewIdentity]) -> Result<OrgId> {
        self.apply_organization_with_keys(file, identities, &[]).await
    }

    /// The same with generations of keys that its addresses sign and decrypt with; those on record stay.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn apply_organization_with_keys(
        &self,
        file: &OrganizationFile,
        identities: &[NewIdentity],
        keys: &[NewKey],
    ) -> Result<OrgId> {
        self.apply_organization_with_secrets(file, identities, keys, &[]).await
    }

    /// The same with secrets of its webhooks. One that has none gets a new one.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn apply_organization_with_secrets(
        &self,
        file: &OrganizationFile,
        identities: &[NewIdentity],
        keys: &[NewKey],
        secrets: &[webhook::NewSecret],
    ) -> Result<OrgId> {
        let known = match self.organization_by_slug(OrgScope::All, &file.slug).await? {
            Some(known) => Some((known.id, self.key(known.id).await?)),
            None => None,
        };
        let now = self.clock.now().micros();
        let mut tx = self.begin().await?;
        let json = write_json("organization file", file)?;
        let json = String::from_utf8(json).unwrap_or_default();
        let (id, key) = if let Some((known, key)) = known {
            within!(&mut tx, c => sqlx::query("UPDATE organization SET mode = $1, file = $2, updated_at = $3 WHERE id = $4")
                .bind(file.mode.as_str()).bind(&json).bind(now).bind(known.to_string()).execute(c).await.map(drop))
            .doing("change an organization")?;
            (known, key)
        } else {
            let id = OrgId::new();
            let (key, wrapped) = self.keys.generate(id)?;
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO organization (id, slug, mode, file, data_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)")
                .bind(id.to_string()).bind(&file.slug).bind(file.mode.as_str()).bind(&json).bind(&wrapped).bind(now)
                .execute(c).await.map(drop))
            .doing("create an organization")?;
            within!(&mut tx, c => sqlx::query("INSERT INTO ledger_head (org_id, seq, hash) VALUES ($1, 0, '')")
                .bind(id.to_string()).execute(c).await.map(drop))
            .doing("begin a ledger")?;
            (id, key)
        };
        for site in &file.sites {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO site (org_id, id, local_id) VALUES ($1, $2, $3) ON CONFLICT (org_id, local_id) DO NOTHING")
                .bind(id.to_string()).bind(crate::domain::SiteId::new().to_string()).bind(&site.local_id).execute(c).await.map(drop))
            .doing("store a site")?;
        }
        insert_prices(&mut tx, id, file, now).await?;
        apply_identities(&mut tx, &key, id, identities).await?;
        for new in keys {
            identity_key::keep(&mut tx, &key, id, new, Timestamp(now)).await?;
        }
        webhook::apply(&mut tx, &key, id, &file.webhooks, secrets, Timestamp(now)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// The private key or password of an identity.
    ///
    /// # Errors
    /// When there is none or it cannot be opened.
    pub async fn identity_secret(&self, org: OrgId, id: IdentityId) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
        let sealed: Option<Option<Vec<u8>>> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT secret FROM identity WHERE org_id = $1 AND id = $2").bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read an identity's key")?;
        let key = self.key(org).await?;
        sealed.flatten().map(|sealed| at_rest::open(&key, org, "identity", id.0, &sealed)).transpose()
    }
}

fn identity((id, address, mode, relay, certificate, has_secret): IdentityRow) -> Result<Identity> {
    Ok(Identity {
        id: read("identity id", &id)?,
        address: read("address", &address)?,
        mode: read("send mode", &mode)?,
        relay,
        certificate,
        has_secret,
    })
}

async fn apply_identities(tx: &mut Tx, key: &DataKey, org: OrgId, identities: &[NewIdentity]) -> Result<()> {
    within!(tx, c => sqlx::query("UPDATE identity SET position = position + 1000000 WHERE org_id = $1")
        .bind(org.to_string()).execute(c).await.map(drop))
    .doing("make room for identities")?;
    for (position, identity) in identities.iter().enumerate() {
        let known: Option<String> = within!(tx, c => sqlx::query_scalar(
            "SELECT id FROM identity WHERE org_id = $1 AND address_key = $2")
            .bind(org.to_string()).bind(identity.address.key()).fetch_optional(c).await)
        .doing("look an identity up")?;
        let id: IdentityId = known.as_deref().map(|id| read("identity id", id)).transpose()?.unwrap_or_default();
        let secret = identity.secret.as_ref().map(|plain| at_rest::seal(key, org, "identity", id.0, plain)).transpose()?;
        within!(tx, c => sqlx::query(
            "INSERT INTO identity (org_id, id, address, address_key, mode, relay, certificate, secret, position)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (org_id, address_key) DO UPDATE SET address = excluded.address, mode = excluded.mode, relay = excluded.relay,
                certificate = excluded.certificate, position = excluded.position,
                secret = CASE WHEN excluded.secret IS NULL AND excluded.mode = identity.mode THEN identity.secret ELSE excluded.secret END")
            .bind(org.to_string()).bind(id.to_string()).bind(identity.address.as_str()).bind(identity.address.key())
            .bind(identity.mode.as_str()).bind(identity.relay.as_deref()).bind(identity.certificate.as_deref())
            .bind(secret).bind(i64::try_from(position).unwrap_or(i64::MAX)).execute(c).await.map(drop))
        .doing("store an identity")?;
    }
    within!(tx, c => sqlx::query("DELETE FROM identity WHERE org_id = $1 AND position >= 1000000")
        .bind(org.to_string()).execute(c).await.map(drop))
    .doing("remove identities that are no longer named")?;
    Ok(())
}
