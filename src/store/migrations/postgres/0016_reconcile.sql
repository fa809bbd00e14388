-- Reconciliation with what a HISP has counted, and ledger lines told to a metering system.

-- Somebody has compared a month with the HISP's usage and stands for it. Append-only.
CREATE TABLE reconciliation (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    month       TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,              -- of the usage file
    counts      TEXT NOT NULL,              -- JSON
    signed_by   TEXT NOT NULL,
    note        TEXT NOT NULL,
    signed_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX reconciliation_month ON reconciliation (org_id, month, signed_at);

-- How far the metering system has been told of each ledger.
CREATE TABLE ledger_told (
    org_id          TEXT PRIMARY KEY REFERENCES organization (id),
    seq             BIGINT NOT NULL,        -- the last line it has taken
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    problem         TEXT,
    told_at         BIGINT
);

-- What was handed over in a month, in order.
CREATE INDEX delivery_accepted ON delivery (org_id, accepted_at, id) WHERE accepted_at IS NOT NULL;

-- The lines of a ledger, added up to the one that ledger_summed names: reports and pages need not read each. Made from the lines and
-- nothing else; NULLs are '' here.
CREATE TABLE ledger_sum (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    period      TEXT NOT NULL,
    bill_to_org TEXT NOT NULL,
    currency    TEXT NOT NULL,
    site        TEXT NOT NULL,
    cost_center TEXT NOT NULL,
    payer       TEXT NOT NULL,
    channel     TEXT NOT NULL,
    status      TEXT NOT NULL,
    entry_type  TEXT NOT NULL,
    fee_code    TEXT NOT NULL,
    note        TEXT NOT NULL,
    relates_to  TEXT NOT NULL,
    unit_price  BIGINT NOT NULL,
    price_id    TEXT NOT NULL,
    quantity    BIGINT NOT NULL,
    amount      BIGINT NOT NULL,
    lines       BIGINT NOT NULL,
    first       BIGINT NOT NULL,            -- place of the first of them
    PRIMARY KEY (org_id, period, bill_to_org, currency, site, cost_center, payer, channel, status, entry_type, fee_code, note, relates_to,
        unit_price, price_id),
    -- Without it SQLite would make a floating number of a sum that does not fit.
    CHECK (quantity BETWEEN -9223372036854775807 AND 9223372036854775807 AND amount BETWEEN -9223372036854775807 AND 9223372036854775807)
);
CREATE TABLE ledger_summed (
    org_id TEXT PRIMARY KEY REFERENCES organization (id),
    seq    BIGINT NOT NULL
);
