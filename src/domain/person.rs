//! People who use the console, and programs that use the API: what each may do, and whose rows it may see.

use std::collections::BTreeSet;

use super::{OrgId, OrgScope, id::PersonId, words};

words! {
    /// What somebody may do. A page or a route of the API names exactly one; a role, or a token, has a set of them.
    pub enum Right {
        /// Hand orders in, change and cancel them.
        OrdersWrite = "orders:write",
        /// Hand results in.
        ResultsWrite = "results:write",
        /// See where results stand.
        ResultsRead = "results:read",
        /// See deliveries, their evidence and the worklist; nothing about patients.
        DeliveriesRead = "deliveries:read",
        /// Retry, cancel, re-route, resend.
        DeliveriesAct = "deliveries:act",
        /// See who the patient is: each look is on record.
        PatientsReveal = "patients:reveal",
        /// See the ledger, statements and prices.
        FeesRead = "fees:read",
        /// Export, reconcile, adjust, close a month.
        FeesAct = "fees:act",
        /// Look up NPIs and addresses.
        DirectoryRead = "directory:read",
        /// Load directories: they answer everybody.
        DirectoryAct = "directory:act",
        /// Pin and suppress addresses: an organization's own decisions, which bind nobody else.
        AddressesAct = "addresses:act",
        /// See anchors, bundles, certificates and when they end.
        TrustRead = "trust:read",
        /// Import and remove them.
        TrustAct = "trust:act",
        /// See organizations, sites and their rules.
        OrganizationsRead = "organizations:read",
        /// Change them.
        OrganizationsAct = "organizations:act",
        /// See that replies came in; reading one is `patients:reveal`.
        InboxRead = "inbox:read",
        /// Mail and results that match no organization.
        UnmatchedRead = "unmatched:read",
        /// See how the gateway is.
        HealthRead = "health:read",
        /// Read and export the audit trail.
        AuditRead = "audit:read",
        /// See who has access.
        PeopleRead = "people:read",
        /// Give and take access: people and tokens.
        PeopleAct = "people:act",
        /// One's own password, codes and sessions. Everybody who signs in has it; a token never has.
        Account = "account",
    }
}

impl Right {
    /// Whether it reaches beyond organizations: whoever is confined to some never has it.
    #[must_use]
    pub const fn of_the_installation(self) -> bool {
        use Right as R;
        matches!(self, R::DirectoryAct | R::UnmatchedRead | R::HealthRead | R::PeopleRead | R::PeopleAct)
    }

    /// The rights that `word` stands for when a token is made: a right by its own name, all that begin with a noun
    /// (`directory`), or `admin`, which is everything a token can have. Nothing for any other word.
    #[must_use]
    pub fn meant_by(word: &str) -> BTreeSet<Self> {
        let all = Self::ALL.iter().copied().filter(|right| *right != Self::Account);
        all.filter(|right| {
            let text = right.as_str();
            word == "admin" || word == text || text.split_once(':').is_some_and(|(noun, _)| noun == word)
        })
        .collect()
    }

    /// What a sender of orders and results needs: to hand them in, and to see what became of them.
    #[must_use]
    pub fn of_a_sender() -> BTreeSet<Self> {
        BTreeSet::from([Self::OrdersWrite, Self::ResultsWrite, Self::ResultsRead, Self::DeliveriesRead])
    }
}

words! {
    /// What a person is here for.
    pub enum Role {
        /// Runs the installation: everything.
        Admin = "admin",
        /// Keeps results flowing.
        Operator = "operator",
        /// Bills from the ledger; never sees a patient.
        Billing = "billing",
        /// Looks at everything but patients, and changes nothing.
        Auditor = "auditor",
        /// A client or payer: sees what became of the results of its own organizations.
        Viewer = "viewer",
    }
}

impl Role {
    /// What the role may do: the one table there is.
    #[must_use]
    pub const fn rights(self) -> &'static [Right] {
        use Right as R;
        match self {
            Self::Admin => R::ALL,
            Self::Operator => &[
                R::OrdersWrite,
                R::ResultsWrite,
                R::ResultsRead,
                R::DeliveriesRead,
                R::DeliveriesAct,
                R::PatientsReveal,
                R::DirectoryRead,
                R::DirectoryAct,
                R::AddressesAct,
                R::TrustRead,
                R::TrustAct,
                R::OrganizationsRead,
                R::InboxRead,
                R::HealthRead,
                R::Account,
            ],
            Self::Billing => &[R::FeesRead, R::FeesAct, R::OrganizationsRead, R::Account],
            Self::Auditor => &[
                R::ResultsRead,
                R::DeliveriesRead,
                R::FeesRead,
                R::DirectoryRead,
                R::TrustRead,
                R::OrganizationsRead,
                R::InboxRead,
                R::HealthRead,
                R::AuditRead,
                R::PeopleRead,
                R::Account,
            ],
            Self::Viewer => &[R::ResultsRead, R::DeliveriesRead, R::Account],
        }
    }

    /// Whether the role may be confined to organizations, and whether it must.
    #[must_use]
    pub const fn confinement(self) -> Confinement {
        match self {
            Self::Admin => Confinement::Never,
            Self::Viewer => Confinement::Always,
            Self::Operator | Self::Billing | Self::Auditor => Confinement::Possible,
        }
    }
}

impl Role {
    /// Whose rows somebody in the role sees who is confined to `organizations`.
    ///
    /// # Errors
    /// [`Misfit`] when the role must be confined and is not, or the other way round.
    pub fn reach(self, organizations: BTreeSet<OrgId>) -> Result<Reach, Misfit> {
        match self.confinement() {
            Confinement::Always if organizations.is_empty() => Err(Misfit::NamesNone(self)),
            Confinement::Never if !organizations.is_empty() => Err(Misfit::NamesSome(self)),
            _ => Ok(Reach::of(organizations)),
        }
    }
}

/// A role and a confinement that do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The role is confined, and no organization is named.
    #[error("a {0} sees some organizations alone: name at least one")]
    NamesNone(Role),
    /// The role sees everything, and some are named.
    #[error("an {0} sees everything: name no organization")]
    NamesSome(Role),
}

/// Whether somebody in a role is confined to organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// It sees everything.
    Never,
    /// As whoever gives the role decides.
    Possible,
    /// It names at least one organization.
    Always,
}

/// Whose rows somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's, and what belongs to nobody.
    Installation,
    /// These organizations'.
    Organizations(BTreeSet<OrgId>),
}

/// An organization that somebody may not see. Outside it looks as if it did not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such organization")]
pub struct OutOfReach;

impl Reach {
    /// The reach of somebody confined to `organizations`; to none means the whole installation.
    #[must_use]
    pub fn of(organizations: BTreeSet<OrgId>) -> Self {
        if organizations.is_empty() { Self::Installation } else { Self::Organizations(organizations) }
    }

    /// Whether rows of `org` may be seen.
    #[must_use]
    pub fn covers(&self, org: OrgId) -> bool {
        match self {
            Self::Installation => true,
            Self::Organizations(all) => all.contains(&org),
        }
    }

    /// The scope for every call to the store: of the organization that was chosen, otherwise the widest that one scope can
    /// say. Whoever is confined to several looks at one at a time, the first unless they choose.
    ///
    /// # Errors
    /// [`OutOfReach`] when the chosen one may not be seen.
    pub fn scope(&self, chosen: Option<OrgId>) -> Result<OrgScope, OutOfReach> {
        match (self, chosen) {
            (_, Some(org)) if self.covers(org) => Ok(OrgScope::One(org)),
            (Self::Installation, None) => Ok(OrgScope::All),
            (Self::Organizations(all), None) => all.first().copied().map(OrgScope::One).ok_or(OutOfReach),
            (_, Some(_)) => Err(OutOfReach),
        }
    }

    /// The organizations it names; none for the whole installation.
    #[must_use]
    pub fn organizations(&self) -> BTreeSet<OrgId> {
        match self {
            Self::Installation => BTreeSet::new(),
            Self::Organizations(all) => all.clone(),
        }
    }

    /// The one payer whose lines may be seen and corrected in the ledger of `own`, one of the organizations reached; `None`
    /// when everybody's may. What others pay there is theirs.
    #[must_use]
    pub const fn payer_in(&self, own: OrgId) -> Option<OrgId> {
        match self {
            Self::Installation => None,
            Self::Organizations(_) => Some(own),
        }
    }

    /// Whether one who reaches so far may use `right` at all.
    #[must_use]
    pub const fn allows(&self, right: Right) -> bool {
        matches!(self, Self::Installation) || !right.of_the_installation()
    }
}

/// What a role and a reach allow together.
#[must_use]
pub fn may(role: Role, reach: &Reach, right: Right) -> bool {
    role.rights().contains(&right) && reach.allows(right)
}

/// What somebody must do before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Choose a password of one's own instead of the first one.
    Password,
    /// Set codes up (TOTP): the installation asks them of this role.
    Codes,
}

/// Somebody who is known: what every page needs.
#[derive(Debug, Clone)]
pub struct Known {
    /// Which person.
    pub id: PersonId,
    /// What they sign in as.
    pub login: String,
    /// What they are called.
    pub name: String,
    /// What they are here for.
    pub role: Role,
    /// Whose rows they may see.
    pub reach: Reach,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_be_confined_names_organizations_and_who_must_not_names_none() {
        let some = BTreeSet::from([OrgId::new()]);
        assert_eq!(Role::Viewer.reach(BTreeSet::new()), Err(Misfit::NamesNone(Role::Viewer)));
        assert_eq!(Role::Viewer.reach(some.clone()), Ok(Reach::Organizations(some.clone())));
        assert_eq!(Role::Admin.reach(some.clone()), Err(Misfit::NamesSome(Role::Admin)));
        assert_eq!(Role::Billing.reach(BTreeSet::new()), Ok(Reach::Installation));
        assert_eq!(Role::Billing.reach(some.clone()), Ok(Reach::Organizations(some)));
    }

    #[test]
    fn only_admins_and_operators_ever_see_a_patient_and_billing_sees_nothing_near_one() {
        for role in Role::ALL {
            let sees = role.rights().contains(&Right::PatientsReveal);
            assert_eq!(sees, matches!(role, Role::Admin | Role::Operator), "{role}");
        }
        let near = [Right::ResultsRead, Right::DeliveriesRead, Right::InboxRead, Right::UnmatchedRead, Right::OrdersWrite];
        assert!(near.iter().all(|right| !Role::Billing.rights().contains(right)));
    }

    #[test]
    fn what_matches_no_organization_and_who_has_access_is_for_admins() {
        for right in [Right::UnmatchedRead, Right::PeopleAct, Right::OrganizationsAct] {
            for role in Role::ALL {
                assert_eq!(role.rights().contains(&right), *role == Role::Admin, "{role} {right}");
            }
        }
    }

    #[test]
    fn auditors_and_viewers_change_nothing() {
        let changes = |right: &Right| right.as_str().ends_with(":act") || right.as_str().ends_with(":write");
        for role in [Role::Auditor, Role::Viewer] {
            assert!(!role.rights().iter().any(changes), "{role}");
        }
        assert!(Role::ALL.iter().all(|role| role.rights().contains(&Right::Account)));
    }

    #[test]
    fn whoever_is_confined_sees_only_those_organizations_and_nothing_of_the_installation() {
        let (mine, also, theirs) = (OrgId::new(), OrgId::new(), OrgId::new());
        let reach = Reach::of(BTreeSet::from([mine, also]));
        assert_eq!(reach.scope(Some(also)), Ok(OrgScope::One(also)));
        assert_eq!(reach.scope(None), Ok(OrgScope::One(mine)), "never all");
        assert_eq!(reach.scope(Some(theirs)), Err(OutOfReach));
        assert_eq!(Reach::Installation.scope(None), Ok(OrgScope::All));
        assert_eq!(Reach::Installation.scope(Some(theirs)), Ok(OrgScope::One(theirs)));
        assert!(may(Role::Operator, &Reach::Installation, Right::HealthRead));
        assert!(!may(Role::Operator, &reach, Right::HealthRead) && may(Role::Operator, &reach, Right::DeliveriesAct));
    }

    #[test]
    fn an_organizations_token_decides_about_its_own_addresses_and_loads_nothing_for_everybody() {
        let own = Reach::of(BTreeSet::from([OrgId::new()]));
        for (right, confined, roles) in [
            (Right::DirectoryRead, true, &[Role::Admin, Role::Operator, Role::Auditor][..]),
            (Right::AddressesAct, true, &[Role::Admin, Role::Operator]),
            (Right::DirectoryAct, false, &[Role::Admin, Role::Operator]),
        ] {
            assert_eq!(own.allows(right), confined, "{right}");
            assert!(Role::ALL.iter().all(|role| role.rights().contains(&right) == roles.contains(role)), "{right}");
            assert!(!Right::of_a_sender().contains(&right), "{right}: a feed of results has no business with addresses");
        }
        assert!(Right::meant_by("admin").contains(&Right::AddressesAct));
    }

    #[test]
    fn a_word_for_a_token_means_one_right_a_nouns_rights_or_all_but_never_an_account() {
        assert_eq!(Right::meant_by("deliveries:read"), BTreeSet::from([Right::DeliveriesRead]));
        assert_eq!(Right::meant_by("directory"), BTreeSet::from([Right::DirectoryRead, Right::DirectoryAct]));
        assert_eq!(Right::meant_by("admin").len(), Right::ALL.len() - 1);
        for word in ["account", "", "deliveries:", "everything", "read"] {
            assert!(Right::meant_by(word).is_empty(), "{word}");
        }
    }
}
