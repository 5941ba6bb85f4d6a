-- Quotas of paths a second, monthly limits, and the paths that folding knows.

ALTER TABLE site
    ADD COLUMN monthly_limit  bigint CHECK (monthly_limit > 0),
    ADD COLUMN past_limit     text NOT NULL DEFAULT 'economical' CHECK (past_limit IN ('economical', 'hold')),
    ADD COLUMN held_until     timestamptz;
COMMENT ON COLUMN site.monthly_limit IS 'Paths a month (UTC) that its publishes may take; NULL: any number.';
COMMENT ON COLUMN site.past_limit IS 'What happens past it. economical: publishes are folded. hold: they wait for the next month.';
COMMENT ON COLUMN site.held_until IS 'Nothing new is planned before this time: the monthly limit is reached.';

ALTER TABLE distribution
    ADD COLUMN backlog_since    timestamptz,
    ADD COLUMN file_tokens      double precision,
    ADD COLUMN wildcard_tokens  double precision,
    ADD COLUMN refilled_at      timestamptz,
    ADD CHECK (num_nulls(file_tokens, wildcard_tokens, refilled_at) IN (0, 3));
COMMENT ON COLUMN distribution.backlog_since IS 'Since when each call has left publishes waiting for room; NULL: the last one took all.';
COMMENT ON COLUMN distribution.file_tokens IS
    'Files and tags that may be sent now, where CloudFront limits them by the second; a token bucket that all replicas share. NULL: full.';
COMMENT ON COLUMN distribution.wildcard_tokens IS 'The same for wildcards.';
COMMENT ON COLUMN distribution.refilled_at IS 'As of when both are right.';

ALTER TABLE invalidation
    ADD COLUMN folded  integer NOT NULL DEFAULT 0 CHECK (folded >= 0);
COMMENT ON COLUMN invalidation.folded IS
    'How many more items it would have had without the site''s policy: what is in progress counts unfolded, so that a rebuild that comes bit by bit is folded like one that comes at once.';

CREATE TABLE known_path (
    site_id         integer NOT NULL REFERENCES site ON DELETE CASCADE,
    path            text NOT NULL CHECK (octet_length(path) <= 1000),
    last_published  date NOT NULL,
    PRIMARY KEY (site_id, path)
);
COMMENT ON TABLE known_path IS
    'Paths published in the last 90 days, so that folding picks the wildcards that purge the fewest of them needlessly.';
COMMENT ON COLUMN known_path.path IS 'Without wildcards and tags. Longer paths are not remembered: an index entry has no room for them.';
COMMENT ON COLUMN known_path.last_published IS 'The day (UTC), and no closer: a path that is published all day is written once.';
CREATE INDEX known_path_age ON known_path (site_id, last_published);
