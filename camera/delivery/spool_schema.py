"""Tables, indexes and statements of the spool. The time of a statement does not depend on the number of events.

`forwarded` is 0 or 1, or 2 for an invalid row that is skipped.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    recorded REAL NOT NULL,
    forwarded INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL,
    camera TEXT NOT NULL,
    facts TEXT NOT NULL,
    picture BLOB
);
CREATE INDEX IF NOT EXISTS by_state ON events (forwarded, sequence, bytes);
CREATE INDEX IF NOT EXISTS by_age ON events (forwarded, recorded);
CREATE INDEX IF NOT EXISTS by_picture_age ON events (recorded) WHERE picture IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_camera ON events (camera);
CREATE INDEX IF NOT EXISTS by_beginning ON events (recorded, camera) WHERE json_extract(facts, '$.kind') = 'began';
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counters VALUES ('evicted', 0), ('pictures_expired', 0), ('forwarded', 0);
"""

TOTALS_OF_ALL = "SELECT coalesce(sum(forwarded = 0), 0), count(*), coalesce(sum(bytes), 0) FROM events"

HAS_TOTALS = "SELECT 1 FROM sqlite_schema WHERE name = 'totals'"

# Totals for `counts` and the bound, kept by triggers, so that they are committed with the change and no writer can
# forget them; adding up all rows would take longer with each event. The totals of a spool from an earlier version of
# petpark are added up once, when it is opened: table, row and triggers are created in one transaction.
TOTALS = """
BEGIN IMMEDIATE;
CREATE TABLE totals (waiting INTEGER NOT NULL, kept INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals SELECT coalesce(sum(forwarded = 0), 0), count(*), coalesce(sum(bytes), 0) FROM events;
CREATE TRIGGER added AFTER INSERT ON events BEGIN
    UPDATE totals SET waiting = waiting + (NEW.forwarded = 0), kept = kept + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER changed AFTER UPDATE OF forwarded, bytes ON events BEGIN
    UPDATE totals SET
        waiting = waiting + (NEW.forwarded = 0) - (OLD.forwarded = 0), bytes = bytes + NEW.bytes - OLD.bytes;
END;
CREATE TRIGGER removed AFTER DELETE ON events BEGIN
    UPDATE totals SET waiting = waiting - (OLD.forwarded = 0), kept = kept - 1, bytes = bytes - OLD.bytes;
END;
COMMIT;
"""

MANY_RECORDED_NOW = """
UPDATE events SET recorded = :now
WHERE sequence IN (SELECT sequence FROM events WHERE forwarded IN (0, 1, 2) AND recorded > :now LIMIT :most)
"""

MANY_REMOVED = """
DELETE FROM events
WHERE sequence IN (SELECT sequence FROM events WHERE forwarded IN (1, 2) AND recorded < :before LIMIT :most)
"""

MANY_PICTURES_EXPIRE = """
UPDATE events SET bytes = bytes - length(picture), picture = NULL
WHERE sequence IN (SELECT sequence FROM events WHERE recorded < :before AND picture IS NOT NULL LIMIT :most)
"""
