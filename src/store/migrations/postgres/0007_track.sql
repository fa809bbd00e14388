-- The mailboxes that notices come into, and when each was looked through last. What lies in one unseen holds the clocks of the
-- deliveries that it may be about.
CREATE TABLE way_in (
    name        TEXT PRIMARY KEY,       -- the task that watches it
    relay       TEXT NOT NULL,
    address_key TEXT,                   -- whose mailbox; NULL: it gets the mail of all our addresses
    looked_at   BIGINT                  -- everything that lay there at this moment is durable here
);
CREATE INDEX way_in_relay ON way_in (relay);
