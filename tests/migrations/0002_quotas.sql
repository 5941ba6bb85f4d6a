-- What came with 0002, as a service of that schema wrote it.

UPDATE site SET monthly_limit = 5000, past_limit = 'hold', held_until = now() + interval '1 day' WHERE name = 'paused';
UPDATE distribution SET backlog_since = now() - interval '1 hour', file_tokens = 100, wildcard_tokens = 1,
                        refilled_at = now() - interval '1 hour';
UPDATE invalidation SET folded = 7 WHERE id = '01a209ba-0000-7000-8000-000000000001';
INSERT INTO known_path (site_id, path, last_published)
VALUES (1, '/completed', now()::date - 1), (1, '/files/a.png', now()::date - 40);
