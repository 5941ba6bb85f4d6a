-- Fills a migrated database with a history, as for psql: `publishes` of them over 90 days, of a site that exists.
--
--   psql -v publishes=1000000 -v site=default -f fill.sql "$DATABASE_URL"
--
-- A publish is of a page, every third with the home page, every fifth with its picture too; there are 50,000 pages. Four
-- publishes share an invalidation. All ended well, except on one day long ago when AWS refused them all. The newest is five
-- minutes old.

\set ON_ERROR_STOP on
\if :{?publishes} \else \set publishes 1000000 \endif
\if :{?site} \else \set site default \endif

BEGIN;
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '128MB';

SELECT id AS site_id FROM site WHERE name = :'site' \gset
SELECT coalesce((SELECT distribution_id FROM cdn_settings
                 WHERE site_id = :site_id AND slot <> 'draft' ORDER BY slot LIMIT 1), 'E2EXAMPLE') AS distribution,
       coalesce((SELECT access_key_id FROM cdn_settings
                 WHERE site_id = :site_id AND slot <> 'draft' ORDER BY slot LIMIT 1), 'default') AS access_key \gset

-- A version 7 identifier: its time, and something random that repeats with the number and the salt.
CREATE FUNCTION pg_temp.id(at timestamptz, n bigint, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
          || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15))::uuid
  FROM (SELECT md5(salt || n::text) AS random) AS drawn
$$;

CREATE TEMPORARY TABLE given ON COMMIT DROP AS
SELECT n, at, batch_at BETWEEN ended - interval '60 days' AND ended - interval '59 days' AS refused,
       pg_temp.id(at, n, 'publish') AS id,
       pg_temp.id(batch_at, (n - 1) / 4, 'invalidation') AS invalidation, batch_at,
       CASE WHEN n % 5 = 0 THEN ARRAY[page, picture]
            WHEN n % 3 = 0 THEN ARRAY[page, '/', '/index.html']
            ELSE ARRAY[page] END AS items
FROM (SELECT n, ended, ended - (:publishes - n) * step AS at,
             ended - (:publishes - least((n - 1) / 4 * 4 + 4, :publishes)) * step + interval '20 ms' AS batch_at,
             '/section-' || n % 100 || '/page-' || n * 7919 % 50000 AS page,
             '/files/' || n % 1000 || '/' || n * 7919 % 50000 || '.png' AS picture
      FROM generate_series(1, :publishes::bigint) AS n,
           (SELECT now() - interval '5 minutes' AS ended, interval '90 days' / :publishes AS step) AS span) AS numbered;

INSERT INTO publish (site_id, id, received_at, items, idempotency_key, body_hash, state, planned, submitted_at, ended_at)
SELECT :site_id, id, at, items, key, CASE WHEN key IS NOT NULL THEN sha256(key::bytea) END,
       CASE WHEN refused THEN 'failed' ELSE 'completed' END, true,
       CASE WHEN NOT refused THEN batch_at + interval '150 ms' END, batch_at + interval '12 seconds'
FROM (SELECT *, CASE WHEN n % 2 = 0 THEN 'history-' || id END AS key FROM given) AS given
ORDER BY n;

INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards, asked, status, attempts,
                          cloudfront_id, error, fix, created_at, submitted_at, ended_at)
SELECT invalidation, :site_id, :'distribution', 'skycms-cdn-' || invalidation, items, cardinality(items), 0, asked,
       CASE WHEN refused THEN 'Failed' ELSE 'Completed' END, 1,
       CASE WHEN NOT refused THEN 'I' || upper(substr(md5(invalidation::text), 1, 13)) END,
       CASE WHEN refused THEN jsonb_build_object('code', 'AccessDenied', 'message', 'User is not authorized',
                                                 'request_id', invalidation, 'http_status', 403) END,
       CASE WHEN refused THEN 'Give the policy back to the key.' END,
       batch_at, CASE WHEN NOT refused THEN batch_at + interval '150 ms' END, batch_at + interval '12 seconds'
FROM (SELECT invalidation, batch_at, bool_or(refused) AS refused, array_agg(DISTINCT item) AS items, count(*) AS asked
      FROM given, unnest(items) AS item GROUP BY invalidation, batch_at) AS batch
ORDER BY invalidation;

INSERT INTO coverage (invalidation_id, site_id, publish_id)
SELECT invalidation, :site_id, id FROM given ORDER BY n;

INSERT INTO known_path (site_id, path, last_published)
SELECT :site_id, path, max(at)::date
FROM given, unnest(items) AS path GROUP BY path
ON CONFLICT (site_id, path) DO UPDATE SET last_published = EXCLUDED.last_published;

INSERT INTO usage (month, site_id, access_key_id, requests, paths, asked)
SELECT date_trunc('month', submitted_at AT TIME ZONE 'UTC')::date, :site_id, :'access_key', count(*),
       sum(cardinality(items)), sum(asked)
FROM invalidation WHERE site_id = :site_id AND submitted_at IS NOT NULL GROUP BY 1
ON CONFLICT (month, site_id, access_key_id) DO UPDATE SET
  requests = EXCLUDED.requests, paths = EXCLUDED.paths, asked = EXCLUDED.asked;

COMMIT;
VACUUM (ANALYZE) publish, invalidation, coverage, known_path, usage;
