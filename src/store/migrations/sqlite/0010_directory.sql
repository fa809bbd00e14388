-- Which NPIs NPPES has issued and which of them are deactivated: one bit each, in blocks of 8192 NPIs without their check digit.
CREATE TABLE directory_npi_block (
    snapshot    BIGINT NOT NULL REFERENCES directory_snapshot (number),
    block       BIGINT NOT NULL,
    issued      BLOB NOT NULL,
    inactive    BLOB NOT NULL,
    PRIMARY KEY (snapshot, block)
);

-- What live directories answered, kept for a while. Shared tables: it is about clinicians and says nothing about who asked.
CREATE TABLE directory_answer (
    directory   TEXT NOT NULL,              -- its name in the configuration
    npi         TEXT NOT NULL,
    id          TEXT NOT NULL,              -- what a trace names as the snapshot
    reply       BLOB NOT NULL,
    asked_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (directory, npi)
);
CREATE INDEX directory_answer_expiry ON directory_answer (expires_at);
