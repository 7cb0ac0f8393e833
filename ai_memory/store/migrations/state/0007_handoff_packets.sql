-- The packet that a handoff names, "" for none.
ALTER TABLE handoffs ADD COLUMN packet_id TEXT NOT NULL DEFAULT '';
