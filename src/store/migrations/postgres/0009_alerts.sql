-- Alerts: what people have to be told, who was told, and what processes say about themselves.

-- One row for each life of a condition. One (kind, organization, subject) has one life at a time.
CREATE TABLE alert (
    id           TEXT PRIMARY KEY,
    org_id       TEXT REFERENCES organization (id), -- NULL: the installation's
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,             -- a name from the configuration, an address of ours, an id
    level        BIGINT NOT NULL,           -- how bad it is now
    value        BIGINT NOT NULL,           -- what was measured
    threshold    BIGINT NOT NULL,           -- what it should not pass
    detail       TEXT NOT NULL,             -- more for people; never about a patient
    first_seen   BIGINT NOT NULL,
    opened_at    BIGINT,                    -- NULL: not long enough yet, nobody knows of it
    quiet_since  BIGINT,                    -- since when its condition is absent
    resolved_at  BIGINT,
    told_level   BIGINT NOT NULL,           -- the worst level people were told of
    escalated_at BIGINT,
    acked_at     BIGINT,
    acked_by     TEXT,
    revision     BIGINT NOT NULL            -- counts changes: two who make one at once notice
);
CREATE UNIQUE INDEX alert_once ON alert (kind, subject, (COALESCE(org_id, ''))) WHERE resolved_at IS NULL;
CREATE INDEX alert_over ON alert (resolved_at) WHERE resolved_at IS NOT NULL;

-- What is still to be said to whom: written with the change it is about, gone once it was said.
CREATE TABLE alert_telling (
    id          TEXT PRIMARY KEY,
    alert_id    TEXT REFERENCES alert (id), -- NULL: a digest, which says what is open when it leaves
    said        TEXT NOT NULL CHECK (said IN ('opened', 'worse', 'escalated', 'resolved', 'digest')),
    level       BIGINT NOT NULL,            -- how bad it was then
    critical    BOOLEAN NOT NULL,           -- does not wait for others
    channel     TEXT NOT NULL CHECK (channel IN ('mail', 'webhook')),
    target      TEXT NOT NULL,              -- an address, or 'operators'
    org_id      TEXT REFERENCES organization (id), -- NULL: to the installation's operators
    made_at     BIGINT NOT NULL,
    message     TEXT,                       -- id of the message it leaves in, the same however often it is tried
    lease_owner TEXT,
    lease_until BIGINT
);
CREATE INDEX alert_telling_of ON alert_telling (alert_id);

-- How each listener was reached so far.
CREATE TABLE alert_listener (
    channel       TEXT NOT NULL,
    target        TEXT NOT NULL,
    org_id        TEXT NOT NULL,            -- '' for the installation's operators
    sent_at       BIGINT,                   -- when something was said last
    digest_at     BIGINT,                   -- when the last digest was made
    failing_since BIGINT,
    attempts      BIGINT NOT NULL,          -- failures in a row
    next_at       BIGINT NOT NULL,          -- not tried before
    error         TEXT,
    PRIMARY KEY (channel, target, org_id)
);

-- What a process sees and others cannot: its relays' breakers, its mailboxes, its clock, its disks. Believed for a while.
CREATE TABLE alert_sign (
    process     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    level       BIGINT NOT NULL,
    value       BIGINT NOT NULL,
    threshold   BIGINT NOT NULL,
    detail      TEXT NOT NULL,
    until       BIGINT NOT NULL,
    PRIMARY KEY (process, kind, subject)
);

-- What is looked at every few seconds is found along these; each holds only what is not over.
CREATE INDEX delivery_undelivered ON delivery (created_at) WHERE state IN ('queued', 'claimed', 'on_wire', 'unknown');
CREATE INDEX delivery_urgent ON delivery (created_at) WHERE priority = 'urgent'
    AND (notice_at IS NOT NULL OR state IN ('queued', 'claimed', 'on_wire', 'unknown', 'held') OR fallback IN ('due', 'held'));
CREATE INDEX delivery_held ON delivery (org_id, updated_at) WHERE state = 'held';
CREATE INDEX delivery_answers ON delivery (relay, accepted_at) WHERE accepted_at IS NOT NULL;
CREATE INDEX result_unrouted ON result (received_at) WHERE state = 'received';
CREATE INDEX result_urgent ON result (received_at) WHERE priority = 'urgent' AND state IN ('received', 'waiting', 'held');
