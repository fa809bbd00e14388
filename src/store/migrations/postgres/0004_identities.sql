-- Our own certificates and keys, bundles of trust anchors, and what peers have shown they understand.

-- The generations of certificates and keys that an address of ours signs and decrypts with. A key is here, sealed with the
-- organization's data key, or on a token.
CREATE TABLE identity_key (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    address     TEXT NOT NULL,
    address_key TEXT NOT NULL,
    used_for    TEXT NOT NULL CHECK (used_for IN ('sign', 'encrypt', 'both')),
    certificate TEXT NOT NULL,              -- PEM, with its chain
    fingerprint TEXT NOT NULL,
    not_before  BIGINT NOT NULL,
    not_after   BIGINT NOT NULL,
    secret      BYTEA,                     -- private key (PKCS#8 PEM), sealed with the data key
    token       TEXT,                       -- where on a PKCS#11 token the key is (RFC 7512)
    warned      TEXT CHECK (warned IN ('60_days', '30_days', '7_days', 'expired')),
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, address_key, fingerprint),
    CHECK ((secret IS NULL) <> (token IS NULL))
);

-- Sets of anchors that somebody else keeps, fetched again and again.
CREATE TABLE trust_bundle (
    org_id       TEXT NOT NULL REFERENCES organization (id),
    id           TEXT NOT NULL,
    name         TEXT NOT NULL,
    used_for     TEXT NOT NULL CHECK (used_for IN ('send', 'receive', 'both')),
    url          TEXT,                      -- NULL: from a file, never fetched
    internal     BOOLEAN NOT NULL,          -- plain http and private addresses are allowed
    signer       BYTEA,                    -- DER of the only certificate whose signature counts
    refresh      BIGINT NOT NULL,           -- microseconds between two looks
    most_lost    BIGINT NOT NULL,           -- percent of its anchors that may go without a person
    refreshed_at BIGINT,                    -- when what is in force was last confirmed
    tried_at     BIGINT,
    next_at      BIGINT NOT NULL,
    error        TEXT,                      -- why the last try failed
    shrunk_to    BIGINT,                    -- so many anchors would be left: waits for a person
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);
CREATE INDEX trust_bundle_due ON trust_bundle (next_at) WHERE url IS NOT NULL;
CREATE TABLE bundle_anchor (
    org_id      TEXT NOT NULL,
    bundle_id   TEXT NOT NULL,
    id          TEXT NOT NULL,
    der         BYTEA NOT NULL,
    fingerprint TEXT NOT NULL,
    not_after   BIGINT NOT NULL,
    PRIMARY KEY (org_id, bundle_id, fingerprint),
    FOREIGN KEY (org_id, bundle_id) REFERENCES trust_bundle (org_id, id)
);

-- What a recipient domain has shown an organization it can do, learnt only from mail whose signature verified and is bound to it.
-- An organization believes what its own anchors vouch for, so what it learns is its own.
CREATE TABLE peer_domain (
    org_id        TEXT NOT NULL REFERENCES organization (id),
    domain        TEXT NOT NULL,
    key_transport TEXT CHECK (key_transport IN ('pkcs1', 'oaep-sha1', 'oaep-sha256')),
    cipher        TEXT CHECK (cipher IN ('aes-128-cbc', 'aes-256-cbc', 'aes-256-gcm')),
    digest        TEXT CHECK (digest IN ('sha-256', 'sha-384', 'sha-512')),
    first_at      BIGINT NOT NULL,          -- when it first showed anything
    last_at       BIGINT NOT NULL,          -- when it last showed more
    PRIMARY KEY (org_id, domain)
);
