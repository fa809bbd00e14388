-- What issuers publish, fetched once for every worker: revocation lists, OCSP answers, issuers' certificates.
-- Nothing is believed for being here: signatures are verified again at each use.
CREATE TABLE issuer_statement (
    kind        TEXT NOT NULL CHECK (kind IN ('list', 'answer', 'issuer')),
    url         TEXT NOT NULL,          -- where it was fetched
    about       TEXT NOT NULL,          -- fingerprint of the issuer (list) or of the certificate asked about (answer); empty
    issuer      TEXT NOT NULL,          -- the issuer's name, for people
    signer      BYTEA NOT NULL,         -- the issuer's certificate, to verify the next one with; empty for an issuer's own
    body        BYTEA NOT NULL,         -- empty until it was had once
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    fetched_at  BIGINT NOT NULL,        -- 0: never
    refresh_at  BIGINT NOT NULL,        -- when to ask for the next one
    used_at     BIGINT NOT NULL,
    problem     TEXT,                   -- of the latest try; NULL when it went well
    PRIMARY KEY (kind, url, about)
);
CREATE INDEX issuer_statement_due ON issuer_statement (refresh_at);
