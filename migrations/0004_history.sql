-- Pruning reads what ended long ago, oldest first. A row gets here once, when it ends.
CREATE INDEX publish_ended ON publish (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX invalidation_ended ON invalidation (ended_at) WHERE ended_at IS NOT NULL;
