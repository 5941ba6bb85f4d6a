-- What came with 0007, as a service of that schema wrote it.

INSERT INTO site (name, created_at, removed_at)
VALUES ('removed-3f0c5b1e8a7d4c2fb6a19e0d7c5b4a38', now() - interval '9 days', now() - interval '1 day');
UPDATE session SET site_ids = '{1}';
UPDATE audit SET site_id = 1;
