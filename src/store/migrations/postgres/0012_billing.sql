-- Billing: what a period costs beside its deliveries, periods that close, statements, and the ends of ledgers signed.

-- Terms of a period: minimum, cap, fee for each address, who pays. Never changed: new ones take effect from their day on.
CREATE TABLE price_terms (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    from_day    TEXT NOT NULL,
    currency    TEXT NOT NULL,
    terms       TEXT NOT NULL,              -- JSON
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX price_terms_in_force ON price_terms (org_id, from_day);

-- A month of an organization, with its bounds as they were resolved when it began.
CREATE TABLE billing_period (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    month       TEXT NOT NULL,              -- 2026-01
    zone        TEXT NOT NULL,
    starts_at   BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,            -- the first instant no longer in it
    closed_at   BIGINT,                     -- NULL: open, or in grace once it has ended
    closed_by   TEXT,
    forced      BOOLEAN NOT NULL,
    last_seq    BIGINT,                     -- the ledger's end when it was closed
    record      TEXT,                       -- JSON: names and control totals as they were when it was closed
    PRIMARY KEY (org_id, month)
);
CREATE INDEX billing_period_open ON billing_period (org_id, ends_at) WHERE closed_at IS NULL;

-- What was handed out for a closed month. Can be made again from the ledger, octet by octet.
CREATE TABLE billing_statement (
    org_id      TEXT NOT NULL,
    month       TEXT NOT NULL,
    bill_to_org TEXT NOT NULL REFERENCES organization (id),
    sha256      TEXT NOT NULL,
    document    TEXT NOT NULL,              -- JSON
    made_at     BIGINT NOT NULL,
    PRIMARY KEY (org_id, month, bill_to_org),
    FOREIGN KEY (org_id, month) REFERENCES billing_period (org_id, month)
);

-- What the ends of ledgers are signed with.
CREATE TABLE ledger_key (
    id          TEXT PRIMARY KEY,
    public_key  BYTEA NOT NULL,              -- Ed25519, 32 octets
    sealed      BYTEA NOT NULL,              -- the private key
    created_at  BIGINT NOT NULL
);
-- Ends of ledgers, signed once a day and when a month is closed. Append-only.
CREATE TABLE ledger_seal (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    seq         BIGINT NOT NULL,
    hash        TEXT NOT NULL,
    key_id      TEXT NOT NULL REFERENCES ledger_key (id),
    signature   BYTEA NOT NULL,
    signed_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, seq)
);
