-- The first schema. Ids are UUIDv7 text; times are microseconds UTC; money is micro-units; enums are TEXT + CHECK.
-- Every tenant row has org_id and is referred to by (org_id, id), so that no row can point into another tenant.

CREATE TABLE organization (
    id          TEXT PRIMARY KEY,
    slug        TEXT NOT NULL UNIQUE,
    mode        TEXT NOT NULL CHECK (mode IN ('production', 'test')),
    file        TEXT NOT NULL,              -- JSON of the applied organization file, without secrets
    data_key    BLOB NOT NULL,             -- this organization's data key, wrapped by the master key
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE site (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    local_id    TEXT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, local_id)
);

-- The Direct addresses an organization sends from.
CREATE TABLE identity (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    address     TEXT NOT NULL,
    address_key TEXT NOT NULL,
    mode        TEXT NOT NULL CHECK (mode IN ('sta_relay', 'sta_mx', 'edge')),
    relay       TEXT,
    certificate TEXT,                       -- PEM, with its chain
    secret      BLOB,                      -- private key (PEM) or mailbox password, sealed with the data key
    position    BIGINT NOT NULL,            -- the first is the organization's default
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, address_key)
);

CREATE TABLE order_ (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    order_id    TEXT NOT NULL,              -- the sender's key
    site        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'cancelled')),
    priority    TEXT NOT NULL CHECK (priority IN ('routine', 'urgent')),
    sealed      BLOB NOT NULL,             -- the order as JSON, encrypted
    content     TEXT NOT NULL,              -- keyed hash of the same: is a repeat the same?
    patient     TEXT,                       -- keyed hash of the patient's local_id
    member      TEXT,                       -- keyed hash of the plan's member_id
    set_id      TEXT NOT NULL,              -- C-CDA setId of its documents
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, order_id)
);
CREATE INDEX order_patient ON order_ (org_id, patient);
CREATE INDEX order_member ON order_ (org_id, member);

CREATE TABLE result (
    org_id          TEXT NOT NULL REFERENCES organization (id),
    id              TEXT NOT NULL,
    order_key       TEXT,                   -- NULL while it waits for its order
    order_id        TEXT NOT NULL,
    site            TEXT NOT NULL,
    version         BIGINT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('final', 'corrected', 'addendum', 'preliminary')),
    resend_of       TEXT,                   -- the result this one sends again
    priority        TEXT NOT NULL CHECK (priority IN ('routine', 'urgent')),
    state           TEXT NOT NULL CHECK (state IN ('received', 'waiting', 'routed', 'held', 'not_sent')),
    reason          TEXT,
    sealed          BLOB NOT NULL,         -- the report as JSON, encrypted
    content         TEXT NOT NULL,          -- keyed hash of report and PDF: is a repeat the same?
    idempotency_key TEXT,
    pdf             TEXT NOT NULL,          -- name in the file store
    pdf_sha256      BLOB NOT NULL,
    pdf_bytes       BIGINT NOT NULL,
    received_at     BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    wait_until      BIGINT,                 -- when waiting ends and a person must look
    warnings        TEXT,                   -- JSON of what its sender was told; names fields, never values
    lease_owner     TEXT,
    lease_until     BIGINT,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, order_key) REFERENCES order_ (org_id, id)
);
-- A version is there once; its resends are as many as are asked for.
CREATE UNIQUE INDEX result_version ON result (org_id, order_id, version, (CASE WHEN resend_of IS NULL THEN '' ELSE id END));
CREATE UNIQUE INDEX result_idempotency ON result (org_id, order_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX result_queue ON result (org_id, priority, next_attempt_at, id) WHERE state IN ('received', 'waiting');
CREATE INDEX result_leased ON result (lease_until) WHERE lease_owner IS NOT NULL;
CREATE INDEX result_attention ON result (org_id, received_at) WHERE state IN ('held', 'waiting');

-- One row for each recipient considered: the trace of a route.
CREATE TABLE route_recipient (
    org_id      TEXT NOT NULL,
    result_id   TEXT NOT NULL,
    position    BIGINT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('taken', 'held', 'dropped')),
    rule        TEXT NOT NULL,
    reason      TEXT,
    npi         TEXT,                       -- the clinician it is about
    candidate   TEXT NOT NULL,              -- JSON of the whole line
    PRIMARY KEY (org_id, result_id, position),
    FOREIGN KEY (org_id, result_id) REFERENCES result (org_id, id)
);
CREATE INDEX route_recipient_held ON route_recipient (org_id, reason) WHERE verdict = 'held';

CREATE TABLE delivery (
    org_id           TEXT NOT NULL,
    id               TEXT NOT NULL,
    result_id        TEXT NOT NULL,
    order_key        TEXT NOT NULL,
    version          BIGINT NOT NULL,
    site             TEXT NOT NULL,
    address          TEXT NOT NULL,         -- as first written: what goes into RCPT TO
    address_key      TEXT NOT NULL,
    target           TEXT NOT NULL,         -- JSON: rule, intended recipient
    message_id       TEXT NOT NULL UNIQUE,
    document_id      TEXT NOT NULL,
    resend_of        TEXT,
    fee_code         TEXT NOT NULL,
    test             BOOLEAN NOT NULL,
    priority         TEXT NOT NULL CHECK (priority IN ('routine', 'urgent')),
    state            TEXT NOT NULL CHECK (state IN ('queued', 'claimed', 'on_wire', 'accepted', 'refused', 'unknown', 'held', 'cancelled', 'superseded')),
    reason           TEXT,
    disposition      TEXT CHECK (disposition IN ('awaited', 'processed', 'dispatched', 'failed', 'expired', 'unconfirmed', 'not_expected')),
    fee              TEXT NOT NULL CHECK (fee IN ('none', 'charged', 'credited')),
    unknown_attempts BIGINT NOT NULL,
    stopped          BOOLEAN NOT NULL,
    early_notice     TEXT,
    billable         TEXT NOT NULL CHECK (billable IN ('accepted', 'processed', 'dispatched')),
    when_unknown     TEXT NOT NULL CHECK (when_unknown IN ('resend', 'hold')),
    wants_dispatched BOOLEAN NOT NULL,
    attempts         BIGINT NOT NULL,
    next_attempt_at  BIGINT NOT NULL,
    retry_until      BIGINT NOT NULL,
    -- What stands between it and a certificate to believe: why it waits, since when what was found is not believed and how
    -- often it was looked at again, since when nothing could be checked.
    waiting_for      TEXT,
    distrusted_since BIGINT,
    rechecks         BIGINT NOT NULL,
    unchecked_since  BIGINT,
    lane             TEXT NOT NULL DEFAULT '',  -- the way it will leave: its relay's name, or 'mx'
    lease_owner      TEXT,
    lease_until      BIGINT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    accepted_at      BIGINT,
    notice_at        BIGINT,                -- when silence becomes an answer; NULL when no notice can count any more
    fallback         TEXT CHECK (fallback IN ('due', 'made', 'held', 'seen', 'needless')), -- what follows from its failure
    fallback_of      TEXT,                  -- the failed delivery it takes the place of
    -- Evidence of what was handed over; the message itself is never stored.
    sealed_sha256    BLOB,
    sealed_bytes     BIGINT,
    certificate      TEXT,                  -- SHA-256 fingerprint of the recipient's certificate
    profile          TEXT,                  -- with which algorithms it was sealed
    relay            TEXT,
    sent_from        TEXT,                  -- from which of our addresses
    sent_mode        TEXT CHECK (sent_mode IN ('sta_relay', 'sta_mx', 'edge')),
    reply            TEXT,                  -- the server's answer, verbatim
    -- What its price and its payer are found by.
    channel          TEXT NOT NULL DEFAULT 'direct',
    status           TEXT NOT NULL DEFAULT 'final', -- of its result
    payer            TEXT NOT NULL DEFAULT '',      -- the order's health plan, by the sender's key of it
    role             TEXT NOT NULL DEFAULT '',      -- of the recipient
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, result_id) REFERENCES result (org_id, id),
    FOREIGN KEY (org_id, order_key) REFERENCES order_ (org_id, id)
);
-- A result goes to an address once, and once more in the place of each delivery of it that was closed.
CREATE UNIQUE INDEX delivery_once ON delivery (org_id, result_id, address_key, (COALESCE(resend_of, '')));
CREATE INDEX delivery_queue ON delivery (org_id, lane, priority, next_attempt_at, id) WHERE state = 'queued';
CREATE INDEX delivery_waiting ON delivery (org_id, id) WHERE waiting_for IS NOT NULL;
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE state IN ('claimed', 'on_wire');
CREATE INDEX delivery_unknown ON delivery (next_attempt_at) WHERE state = 'unknown';
CREATE INDEX delivery_order ON delivery (org_id, order_key, address_key, version);
CREATE INDEX delivery_success ON delivery (org_id, address_key, accepted_at) WHERE accepted_at IS NOT NULL;
CREATE INDEX delivery_notice ON delivery (notice_at) WHERE notice_at IS NOT NULL;
CREATE INDEX delivery_fallback ON delivery (updated_at, id) WHERE fallback = 'due';
CREATE INDEX delivery_failed ON delivery (org_id, updated_at) WHERE fallback = 'held';
CREATE INDEX delivery_attention ON delivery (org_id, updated_at) WHERE state IN ('held', 'refused');

-- What happened to a delivery, in order. Append-only.
CREATE TABLE delivery_event (
    org_id      TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    event       TEXT NOT NULL,
    state       TEXT NOT NULL,
    detail      TEXT,
    PRIMARY KEY (org_id, delivery_id, seq),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);

-- Loads of directories. A national one belongs to no organization; an organization's own list to that one alone.
CREATE TABLE directory_snapshot (
    id          TEXT PRIMARY KEY,
    number      BIGINT NOT NULL UNIQUE,     -- what its rows are kept under
    source      TEXT NOT NULL,
    org_id      TEXT REFERENCES organization (id),
    file        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('loading', 'active', 'retired', 'gone')),
    entries     BIGINT NOT NULL,
    counts      TEXT NOT NULL,              -- JSON: rows of the file by type
    loaded_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX directory_snapshot_active ON directory_snapshot (source, COALESCE(org_id, '')) WHERE state = 'active';
CREATE TABLE directory_entry (
    snapshot         BIGINT NOT NULL REFERENCES directory_snapshot (number),
    npi              TEXT NOT NULL,
    fingerprint      BIGINT NOT NULL,       -- of address and affiliation: said twice, it is one entry
    address          TEXT,                  -- NULL: known, without a Direct address
    kind             TEXT,
    rank             BIGINT,
    organization     TEXT,
    organization_npi TEXT,
    state            TEXT,
    postal_code      TEXT,
    active           BOOLEAN NOT NULL,
    first_seen       BIGINT NOT NULL,
    PRIMARY KEY (snapshot, npi, fingerprint)
) WITHOUT ROWID;

CREATE TABLE certificate (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,              -- the address or domain it is bound to, in lower case
    der         BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    not_after   BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name, fingerprint)
);
CREATE TABLE trust_anchor (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('anchor', 'intermediate')),
    used_for    TEXT NOT NULL CHECK (used_for IN ('send', 'receive', 'both')),
    der         BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    not_after   BIGINT NOT NULL,
    imported_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, fingerprint)
);

-- Prices are never changed: a new one takes effect from its day on.
CREATE TABLE price (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    fee_code    TEXT NOT NULL,
    from_day    TEXT NOT NULL,
    currency    TEXT NOT NULL,
    amount      BIGINT NOT NULL,
    billable    TEXT NOT NULL CHECK (billable IN ('accepted', 'processed', 'dispatched')),
    channel     TEXT NOT NULL DEFAULT '',   -- for this channel only
    status      TEXT NOT NULL DEFAULT '',   -- for results of this status only
    terms       TEXT NOT NULL DEFAULT '{}', -- JSON: tiers, included units
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX price_in_force ON price (org_id, fee_code, from_day);

-- Append-only; hash-chained per organization.
CREATE TABLE ledger_line (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    seq         BIGINT NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    bill_to_org TEXT NOT NULL REFERENCES organization (id),
    cost_center TEXT NOT NULL,
    delivery_id TEXT,                       -- NULL: about a period, not a delivery
    site        TEXT NOT NULL,
    payer       TEXT NOT NULL,              -- the health plan, by the sender's key of it
    channel     TEXT NOT NULL,
    status      TEXT NOT NULL,              -- of the result
    entry_type  TEXT NOT NULL CHECK (entry_type IN ('charge', 'credit', 'adjustment', 'minimum', 'rounding')),
    fee_code    TEXT NOT NULL,
    quantity    BIGINT NOT NULL,
    unit_price  BIGINT NOT NULL,
    amount      BIGINT NOT NULL,
    currency    TEXT NOT NULL,
    price_id    TEXT,                       -- NULL: no price was in force
    note        TEXT NOT NULL CHECK (note IN ('', 'unpriced', 'test', 'tier', 'cap')),
    period      TEXT NOT NULL,              -- the month it is billed in
    relates_to  TEXT,                       -- the closed month it belongs to
    reverses    TEXT,                       -- the line it takes back
    reason      TEXT NOT NULL,              -- of what a person entered
    entered_by  TEXT NOT NULL,
    occurred_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    previous    TEXT NOT NULL,
    hash        TEXT NOT NULL,
    PRIMARY KEY (org_id, seq),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);
-- One charge and one credit for each delivery and fee code, for ever.
CREATE UNIQUE INDEX ledger_once ON ledger_line (org_id, delivery_id, fee_code, entry_type) WHERE entry_type IN ('charge', 'credit');
-- A line is taken back once.
CREATE UNIQUE INDEX ledger_reversed ON ledger_line (org_id, reverses) WHERE reverses IS NOT NULL;
CREATE INDEX ledger_delivery ON ledger_line (org_id, delivery_id);
CREATE INDEX ledger_period ON ledger_line (org_id, period, seq);
CREATE INDEX ledger_occurred ON ledger_line (org_id, occurred_at);
CREATE INDEX ledger_sponsored ON ledger_line (bill_to_org, org_id, period) WHERE bill_to_org <> org_id;
CREATE TABLE ledger_head (
    org_id      TEXT PRIMARY KEY REFERENCES organization (id),
    seq         BIGINT NOT NULL,
    hash        TEXT NOT NULL,
    revision    BIGINT NOT NULL DEFAULT 0   -- of prices, terms and months
);

CREATE TABLE api_token (
    id             TEXT PRIMARY KEY,
    org_id         TEXT REFERENCES organization (id), -- NULL: speaks for the whole installation
    name           TEXT NOT NULL,
    hash           TEXT NOT NULL UNIQUE,    -- SHA-256 of the token; the token itself is shown once
    rights         TEXT NOT NULL,           -- words with a space between them
    ignore_unknown BOOLEAN NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT,
    used_at        BIGINT,
    revoked_at     BIGINT
);
CREATE INDEX api_token_org ON api_token (org_id, name);

CREATE TABLE feed_cursor (
    feed        TEXT PRIMARY KEY,
    cursor      TEXT NOT NULL,
    updated_at  BIGINT NOT NULL
);
-- Items of a source that could not be taken: kept, encrypted, for a person to look at.
CREATE TABLE parked (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    source      TEXT NOT NULL,
    cursor      TEXT NOT NULL,
    problems    TEXT NOT NULL,              -- JSON; names fields, never values
    sealed      BLOB NOT NULL,
    parked_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, source, cursor)
);

-- Who may run a periodic task now.
CREATE TABLE task_lease (
    name        TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    until       BIGINT NOT NULL
);
