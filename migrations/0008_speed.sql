-- What each publish costs the database.

-- The hook locks the sites of a whole batch of publishes with one statement (src/store/inbox.rs). A foreign key would
-- lock the site once more for each row, a third of what storing one costs.
ALTER TABLE publish DROP CONSTRAINT publish_site_id_fkey;
COMMENT ON COLUMN publish.site_id IS 'A site that existed when it was accepted. Removing a site removes its publishes.';

-- Both ends of a coverage row are made or deleted in the transaction that makes or deletes it; foreign keys would lock
-- each publish once more.
ALTER TABLE coverage DROP CONSTRAINT coverage_invalidation_id_fkey;
ALTER TABLE coverage DROP CONSTRAINT coverage_site_id_publish_id_fkey;

-- With `state` in no index, a publish that CloudFront accepts is updated in place (HOT), without a write to any index.
DROP INDEX publish_trouble;
ALTER TABLE publish ADD COLUMN troubled boolean GENERATED ALWAYS AS (state IN ('unconfirmed', 'failed')) STORED;
COMMENT ON COLUMN publish.troubled IS 'Whether it ended otherwise than completed.';
CREATE INDEX publish_troubled ON publish (site_id, id) WHERE troubled;

-- The front of the queue is looked at with every call: what has been planned must not stay in its way.
ALTER TABLE publish SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
