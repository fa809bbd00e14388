-- Events out: what happened, numbered in the order it became durable, and the programs that are told of it.

-- How far each organization's feed has come. Whoever adds to a feed keeps this row locked until it commits: a number is seen
-- only after every smaller one, and none is left out.
CREATE TABLE event_head (
    org_id      TEXT PRIMARY KEY REFERENCES organization (id),
    seq         BIGINT NOT NULL,
    forgotten   BIGINT NOT NULL             -- up to here events are no longer kept
);

-- One change of state. Append-only; the oldest are forgotten. What never changes about its result and delivery is read there.
CREATE TABLE event (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    seq         BIGINT NOT NULL,
    id          TEXT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    result_id   TEXT,
    delivery_id TEXT,
    webhook     TEXT,                       -- name of the webhook it is about
    state       TEXT,
    disposition TEXT,
    reason      TEXT,
    fee         TEXT,
    PRIMARY KEY (org_id, seq),
    FOREIGN KEY (org_id, result_id) REFERENCES result (org_id, id),
    FOREIGN KEY (org_id, delivery_id) REFERENCES delivery (org_id, id)
);

-- Programs that are told, each with its own place in the feed: a backlog is a number, not rows.
CREATE TABLE webhook (
    org_id          TEXT NOT NULL REFERENCES organization (id),
    id              TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    rules           TEXT NOT NULL,          -- JSON of its table in the organization file
    secrets         BYTEA NOT NULL,         -- the newest first, sealed with the data key
    state           TEXT NOT NULL CHECK (state IN ('on', 'off')),
    off_because     TEXT CHECK (off_because IN ('asked', 'gone', 'failing')),
    told            BIGINT NOT NULL,        -- every event up to here has been taken by it, or is none of its business
    attempts        BIGINT NOT NULL,        -- failures in a row
    failing_since   BIGINT,
    problem         TEXT,                   -- of the latest failure
    taken_at        BIGINT,                 -- when it last took something
    next_attempt_at BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    lease_owner     TEXT,
    lease_until     BIGINT,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
);
CREATE INDEX webhook_due ON webhook (next_attempt_at, id) WHERE state = 'on';
