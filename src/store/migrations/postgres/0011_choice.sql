-- What an organization has decided about addresses, and the rosters of payers.

-- An address chosen by hand for an NPI.
CREATE TABLE pin (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    npi         TEXT NOT NULL,
    address     TEXT NOT NULL,
    decided_by  TEXT NOT NULL,
    why         TEXT NOT NULL,
    decided_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, npi)
);

-- What is not to be used.
CREATE TABLE suppression (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    kind        TEXT NOT NULL CHECK (kind IN ('address', 'npi', 'domain')),
    what        TEXT NOT NULL,              -- as it is compared: in lower case
    until       BIGINT,                     -- NULL: until it is lifted
    decided_by  TEXT NOT NULL,
    why         TEXT NOT NULL,
    decided_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, kind, what)
);

-- What a person said about one recipient of one order. A change of the order by its sender ends it.
CREATE TABLE named_recipient (
    org_id      TEXT NOT NULL,
    order_key   TEXT NOT NULL,
    origin      TEXT NOT NULL,              -- as the trace calls the recipient; '' for the order as a whole
    address     TEXT,                       -- NULL: the recipient is left out
    decided_by  TEXT NOT NULL,
    why         TEXT NOT NULL,
    decided_at  BIGINT NOT NULL,
    PRIMARY KEY (org_id, order_key, origin),
    FOREIGN KEY (org_id, order_key) REFERENCES order_ (org_id, id)
);

-- Every decision of a person about where results go, in order. Append-only.
CREATE TABLE decision (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    at          BIGINT NOT NULL,
    what        TEXT NOT NULL CHECK (what IN ('pin', 'unpin', 'suppress', 'unsuppress', 'name', 'leave_out', 'reroute', 'dismiss', 'rules')),
    about       TEXT NOT NULL,              -- an NPI, address or domain; the id of a result; never a patient's data
    result_id   TEXT,                       -- the result on whose account it was decided
    detail      TEXT NOT NULL,              -- what was chosen, or what was before
    decided_by  TEXT NOT NULL,
    why         TEXT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX decision_result ON decision (org_id, result_id) WHERE result_id IS NOT NULL;

-- Versions of a payer's roster. The member number is patient data: only its keyed hash is here.
CREATE TABLE roster (
    org_id      TEXT NOT NULL REFERENCES organization (id),
    id          TEXT NOT NULL,
    source      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('loading', 'active', 'retired')),
    lines       BIGINT NOT NULL,
    members     BIGINT NOT NULL,
    loaded_at   BIGINT NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX roster_active ON roster (org_id) WHERE state = 'active';
CREATE TABLE roster_line (
    org_id      TEXT NOT NULL,
    roster      TEXT NOT NULL,
    member      TEXT NOT NULL,              -- keyed hash of the member number
    position    BIGINT NOT NULL,
    plan        TEXT,                       -- NULL: any plan
    birth       TEXT,                       -- keyed hash of the date of birth
    npi         TEXT NOT NULL,
    from_day    TEXT NOT NULL,              -- first day; '' from ever
    to_day      TEXT NOT NULL,              -- last day; '~' until further notice
    PRIMARY KEY (org_id, roster, member, position),
    FOREIGN KEY (org_id, roster) REFERENCES roster (org_id, id)
);

-- Which deliveries to an address were refused: what a choice among addresses learns from.
CREATE INDEX delivery_refused ON delivery (org_id, address_key, updated_at) WHERE state = 'refused';
-- Which results could not be delivered to an NPI.
CREATE INDEX route_recipient_npi ON route_recipient (org_id, npi) WHERE npi IS NOT NULL AND verdict <> 'taken';
