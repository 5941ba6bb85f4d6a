-- Lists by state read those of that state, however many there are of others.

-- Like `troubled`, but told apart: the few that are unconfirmed among many that failed.
ALTER TABLE publish ADD COLUMN trouble text
    GENERATED ALWAYS AS (CASE WHEN state IN ('unconfirmed', 'failed') THEN state END) STORED;
COMMENT ON COLUMN publish.trouble IS 'The state of one that ended otherwise than completed, else null.';
CREATE INDEX publish_by_trouble ON publish (site_id, trouble, id) WHERE trouble IS NOT NULL;

DROP INDEX publish_troubled;
ALTER TABLE publish ALTER COLUMN troubled DROP EXPRESSION;
COMMENT ON COLUMN publish.troubled IS 'Not used any more. Replicas of the version before still name it in queries.';

CREATE INDEX invalidation_by_status ON invalidation (site_id, status, id);
