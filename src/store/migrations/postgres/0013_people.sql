-- People who sign in, their sessions, and the trail of what was done.

CREATE TABLE user_ (
    id              TEXT PRIMARY KEY,
    login           TEXT NOT NULL,          -- as written
    login_key       TEXT NOT NULL UNIQUE,   -- the same in lower case
    name            TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'billing', 'auditor', 'viewer')),
    password        TEXT,                   -- argon2id, as a PHC string; NULL: cannot sign in with one
    first_until     BIGINT,                 -- a first password: good until then, and only to choose another
    totp            BYTEA,                  -- the secret, encrypted; NULL: no codes
    totp_step       BIGINT,                 -- the last step whose code was used
    created_at      BIGINT NOT NULL,
    signed_in_at    BIGINT,
    disabled_at     BIGINT
);

-- Whoever is named here is confined to these organizations.
CREATE TABLE user_organization (
    user_id         TEXT NOT NULL REFERENCES user_ (id),
    org_id          TEXT NOT NULL REFERENCES organization (id),
    PRIMARY KEY (user_id, org_id)
);

-- Codes for the day the telephone is lost. Each works once.
CREATE TABLE recovery_code (
    user_id         TEXT NOT NULL REFERENCES user_ (id),
    hash            TEXT NOT NULL,
    used_at         BIGINT,
    PRIMARY KEY (user_id, hash)
);

-- Wrong tries in a row, by name and by address, whether there is such a name or not.
CREATE TABLE sign_in_try (
    key             TEXT PRIMARY KEY,       -- a keyed hash: people type passwords into the wrong field
    wrong           BIGINT NOT NULL,
    last_at         BIGINT NOT NULL,
    until           BIGINT NOT NULL         -- nobody gets in before
);
CREATE INDEX sign_in_try_old ON sign_in_try (last_at);

CREATE TABLE console_session (
    id              TEXT PRIMARY KEY,
    user_id         TEXT NOT NULL REFERENCES user_ (id),
    hash            TEXT NOT NULL UNIQUE,   -- SHA-256 of what the cookie holds
    stage           TEXT NOT NULL CHECK (stage IN ('code', 'open')), -- code: the password was right, a code is awaited
    by_provider     BOOLEAN NOT NULL,       -- an OpenID provider vouched, no password was shown
    address         TEXT NOT NULL,
    agent           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL,
    ends_at         BIGINT NOT NULL         -- however busy it is
);
CREATE INDEX console_session_user ON console_session (user_id);

-- Who did what: append-only, a chain for each organization and one for the installation.
CREATE TABLE audit_event (
    chain           TEXT NOT NULL,          -- an organization's id, or 'installation'
    seq             BIGINT NOT NULL,
    id              TEXT NOT NULL,
    at              BIGINT NOT NULL,
    actor_kind      TEXT NOT NULL CHECK (actor_kind IN ('person', 'token', 'shell', 'gateway', 'stranger')),
    actor           TEXT NOT NULL,          -- its id
    actor_name      TEXT NOT NULL,          -- what it was called then
    address         TEXT NOT NULL,
    request         TEXT NOT NULL,
    action          TEXT NOT NULL,
    object_kind     TEXT NOT NULL,
    object          TEXT NOT NULL,
    outcome         TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
    facts           TEXT NOT NULL,          -- JSON; never about a patient
    previous        TEXT NOT NULL,
    hash            TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_event_time ON audit_event (at);
CREATE INDEX audit_event_actor ON audit_event (actor, at);
CREATE INDEX audit_event_object ON audit_event (object, at);

CREATE TABLE audit_head (
    chain           TEXT PRIMARY KEY,
    seq             BIGINT NOT NULL,
    hash            TEXT NOT NULL
);
