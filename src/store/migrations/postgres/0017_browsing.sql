-- Deliveries as people look for them, the newest first. What is common is found by walking back from the newest; what is rare
-- has an index that holds nothing else.
CREATE INDEX delivery_newest ON delivery (id);
CREATE INDEX delivery_unaccepted ON delivery (state, id) WHERE state <> 'accepted';
CREATE INDEX delivery_unanswered ON delivery (disposition, id) WHERE disposition IN ('awaited', 'failed', 'expired', 'unconfirmed');
CREATE INDEX delivery_reasons ON delivery (reason, id) WHERE reason IS NOT NULL;
CREATE INDEX delivery_waiting_for ON delivery (waiting_for, id) WHERE waiting_for IS NOT NULL;
CREATE INDEX delivery_address ON delivery (address_key, id);
CREATE INDEX delivery_site ON delivery (site, id);
CREATE INDEX route_recipient_asked ON route_recipient (npi, result_id) WHERE npi IS NOT NULL;
