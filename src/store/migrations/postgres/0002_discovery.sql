-- What DNS and LDAP said about certificates, shared by every process. Shared by every organization too: it is public, and
-- each organization judges it by its own anchors. "No answer" is never kept.

CREATE TABLE certificate_cache (
    question    TEXT PRIMARY KEY,           -- what was asked, of whom
    about       TEXT NOT NULL,              -- the address or domain it was asked for; forgotten together
    outcome     TEXT NOT NULL CHECK (outcome IN ('found', 'none')),
    reply       BYTEA NOT NULL,              -- JSON
    asked_of    TEXT NOT NULL,              -- who answered
    asked_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX certificate_cache_about ON certificate_cache (about);
CREATE INDEX certificate_cache_expires ON certificate_cache (expires_at);
