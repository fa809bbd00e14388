-- Tracking: what comes back, what it says about a delivery, and what we answer.

-- What seals rows that belong to no organization. Wrapped by the master key, like an organization's.
CREATE TABLE installation_key (
    id          TEXT PRIMARY KEY CHECK (id = 'installation'),
    data_key    BLOB NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Mail that came for our addresses, kept before it is acknowledged.
CREATE TABLE inbound (
    id              TEXT PRIMARY KEY,
    org_id          TEXT,                   -- NULL: it matched no organization
    identity        TEXT NOT NULL,          -- our address, as written
    identity_key    TEXT NOT NULL,          -- the same in lower case
    way             TEXT NOT NULL CHECK (way IN ('smtp', 'imap')),
    channel         TEXT NOT NULL CHECK (channel IN ('relay', 'mailbox', 'none')),
    channel_name    TEXT,                   -- the relay's name, the identity's id
    envelope_from   TEXT,                   -- NULL: the null reverse path
    envelope_to     TEXT NOT NULL,          -- JSON
    sha256          TEXT NOT NULL,          -- of the message as it came
    bytes           BIGINT NOT NULL,
    sealed          BLOB,                  -- the message, encrypted; NULL once it is no longer kept
    state           TEXT NOT NULL CHECK (state IN ('received', 'settled', 'failed')),
    verdict         TEXT CHECK (verdict IN ('notice', 'letter', 'own_copy', 'duplicate', 'rejected', 'nobody', 'failed')),
    detail          TEXT,                   -- why; never about a patient
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    received_at     BIGINT NOT NULL,
    came_after      BIGINT NOT NULL,        -- it was not there before; what lay in a mailbox may have come long before it was fetched
    settled_at      BIGINT,
    lease_owner     TEXT,
    lease_until     BIGINT,
    FOREIGN KEY (org_id) REFERENCES organization (id)
);
-- An address may serve several organizations: each has what came for it, once.
CREATE UNIQUE INDEX inbound_once ON inbound (identity_key, sha256, (COALESCE(org_id, '')));
CREATE INDEX inbound_queue ON inbound (next_attempt_at) WHERE state = 'received';
CREATE INDEX inbound_waiting ON inbound (org_id, came_after) WHERE state = 'received' AND attempts = 0;
CREATE INDEX inbound_kept ON inbound (settled_at) WHERE sealed IS NOT NULL AND state <> 'received';

-- Each thing a notice said about one recipient, believed or not. Append-only.
CREATE TABLE notice (
    org_id              TEXT NOT NULL REFERENCES organization (id),
    id                  TEXT NOT NULL,
    inbound_id          TEXT NOT NULL REFERENCES inbound (id),
    position            BIGINT NOT NULL,    -- one notice may name several recipients
    delivery_id         TEXT,               -- NULL: it names none of ours
    form                TEXT NOT NULL CHECK (form IN ('mdn', 'dsn')),
    kind                TEXT CHECK (kind IN ('processed', 'dispatched', 'failed')), -- NULL: neither good nor bad news
    stated              TEXT NOT NULL,      -- the word it used
    original_message_id TEXT,
    final_recipient     TEXT,
    status              TEXT,               -- RFC 3463, of a DSN
    detail              TEXT,               -- what it gives as the cause
    source              TEXT NOT NULL,      -- who vouches: signer's fingerprint, mailbox, relay, or nobody
    verdict             TEXT NOT NULL CHECK (verdict IN ('applied', 'early', 'late', 'duplicate', 'unknown', 'not_believed', 'information', 'unexpected')),
    why                 TEXT,               -- why it does not count
    received_at         BIGINT NOT NULL,
    recorded_at         BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, inbound_id, position),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);
CREATE INDEX notice_delivery ON notice (org_id, delivery_id, recorded_at);

-- Ids under which a HISP knows a message of ours whose Message-ID it rewrote.
CREATE TABLE message_alias (
    org_id      TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    learnt_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, message_id),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);

-- How a recipient domain answers, learnt from experience.
CREATE TABLE notice_habit (
    org_id          TEXT NOT NULL REFERENCES organization (id),
    domain          TEXT NOT NULL,
    processed       BIGINT NOT NULL,        -- deliveries it said `processed` about
    dispatched      BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    expired         BIGINT NOT NULL,
    unconfirmed     BIGINT NOT NULL,        -- in a row: `dispatched` was asked for and never came
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (org_id, domain)
);

-- Messages for people, opened and trusted.
CREATE TABLE letter (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    inbound_id  TEXT NOT NULL REFERENCES inbound (id),
    identity    TEXT NOT NULL,              -- our address it is for
    sender      TEXT NOT NULL,
    sender_key  TEXT NOT NULL,
    message_id  TEXT,
    delivery_id TEXT,                       -- the delivery it answers, when it says so
    source      TEXT NOT NULL,              -- who vouches: signer's fingerprint, mailbox, relay
    bytes       BIGINT NOT NULL,
    sealed      BLOB NOT NULL,             -- the inner message, encrypted
    received_at BIGINT NOT NULL,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);
CREATE UNIQUE INDEX letter_once ON letter (org_id, identity, sender_key, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX letter_newest ON letter (org_id, received_at);

-- Notices we owe to whom we got a letter from: a queue like that of deliveries, without a fee.
CREATE TABLE reply (
    org_id              TEXT NOT NULL,
    id                  TEXT NOT NULL UNIQUE,
    letter_id           TEXT NOT NULL,
    kind                TEXT NOT NULL CHECK (kind IN ('processed', 'dispatched')),
    identity            TEXT NOT NULL,      -- from which of our addresses
    address             TEXT NOT NULL,      -- where to
    message_id          TEXT NOT NULL UNIQUE,
    original_message_id TEXT,
    state               TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'refused')),
    detail              TEXT,
    attempts            BIGINT NOT NULL,
    next_attempt_at     BIGINT NOT NULL,
    retry_until         BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    settled_at          BIGINT,
    lease_owner         TEXT,
    lease_until         BIGINT,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, letter_id, kind),
    FOREIGN KEY (org_id, letter_id) REFERENCES letter (org_id, id)
);
CREATE INDEX reply_queue ON reply (next_attempt_at) WHERE state = 'queued';
