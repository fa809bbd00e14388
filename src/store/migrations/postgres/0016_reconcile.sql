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

-- What a month adds up to is read from here alone, in the order it is grouped by: no line is looked at twice, and nothing is sorted.
CREATE INDEX ledger_sums ON ledger_line (org_id, period, bill_to_org, currency, site, cost_center, payer, channel, status, entry_type,
    fee_code, note, relates_to, unit_price, price_id, quantity, amount, seq);
