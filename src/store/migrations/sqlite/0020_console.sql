-- What people keep for themselves in the console.

-- A filter of the list of deliveries, under a name of one's own.
CREATE TABLE saved_filter (
    user_id         TEXT NOT NULL REFERENCES user_ (id),
    name            TEXT NOT NULL,
    query           TEXT NOT NULL,          -- as it stands in the URL; nothing about a patient
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
);

-- Mail that matches no organization, the newest first.
CREATE INDEX inbound_unmatched ON inbound (received_at) WHERE org_id IS NULL;
