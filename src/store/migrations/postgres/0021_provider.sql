-- People whom an OpenID provider vouches for.

CREATE TABLE user_provider (
    user_id         TEXT PRIMARY KEY REFERENCES user_ (id),
    issuer          TEXT NOT NULL,
    subject         TEXT NOT NULL,          -- the provider's name for them, which never changes; their e-mail address may
    linked_at       BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);

-- Ways through the provider that somebody has come in by: each is good once.
CREATE TABLE spent_passage (
    hash            TEXT PRIMARY KEY,       -- SHA-256 of its nonce
    spent_at        BIGINT NOT NULL
);
