-- Rows as a service with the schema of 0001 wrote them: a publish in each state, one site that is paused.
-- Sealed under the key of the tests' ENCRYPTION_KEY. Times are relative, so that none of it is old enough to be pruned.

INSERT INTO site (name, created_at) VALUES ('default', now() - interval '30 days');
INSERT INTO site (name, created_at, publisher_hosts, related, directory_variants, policy, fold_threshold, paused_at,
                  pause_error, resume_at)
VALUES ('paused', now() - interval '20 days', '{www.example.com}', '{/sitemap.xml,"/blog/* => /blog/ /feed.xml"}', true, 'economical', 50,
        now() - interval '1 day',
        '{"code": "AccessDenied", "message": "Not authorized", "request_id": "r-paused", "http_status": 403}',
        now() + interval '1 day');

INSERT INTO invalidation (id, site_id, purpose, distribution_id, caller_reference, items, files, wildcards, asked, status,
                          attempts, unknown_since, cloudfront_id, waiting_for, error, fix, created_at, submitted_at, ended_at,
                          next_at, lease_token, lease_until)
SELECT ('01a209ba-0000-7000-8000-00000000000' || n)::uuid, 1, purpose, 'E2SANDBOX0CDN1', 'skycms-cdn-sample-' || n,
       items::text[], cardinality(items::text[]), 0, cardinality(items::text[]), status, 1, unknown_since, cloudfront_id,
       waiting_for, error::jsonb, fix, now() - interval '2 hours', submitted_at, ended_at, next_at, lease_token, lease_until
FROM (VALUES
  (0, 'test', '{/skycms-cdn-test}', 'Completed', NULL::timestamptz, 'I0SAMPLETEST00', NULL, NULL, NULL,
   now() - interval '2 hours', now() - interval '119 minutes', NULL::timestamptz, NULL::uuid, NULL::timestamptz),
  (1, 'publish', '{/completed,/files/a*}', 'Completed', NULL, 'I0SAMPLEDONE00', NULL, NULL, NULL,
   now() - interval '2 hours', now() - interval '119 minutes', NULL, NULL, NULL),
  (2, 'publish', '{/failed}', 'Failed', NULL, NULL, NULL,
   '{"code": "InvalidArgument", "message": "Your request contains one or more invalid invalidation paths.", "request_id": "r-failed", "http_status": 400}',
   'Mend the path.', NULL, now() - interval '119 minutes', NULL, NULL, NULL),
  (3, 'publish', '{/unconfirmed}', 'Unconfirmed', NULL, NULL, NULL, NULL, NULL,
   now() - interval '2 hours', now() - interval '119 minutes', NULL, NULL, NULL),
  -- Not asked about while the test runs: the sandbox does not know it.
  (4, 'publish', '{/under-way}', 'InProgress', NULL, 'I0SAMPLERUNS00', NULL, NULL, NULL,
   now() - interval '2 hours', NULL, now() + interval '1 day', NULL, NULL),
  -- Claimed by a replica that is gone, its outcome not known.
  (5, 'publish', '{/planned}', 'Queued', now() - interval '90 minutes', NULL, 'retry', NULL, NULL,
   NULL, NULL, now() - interval '1 hour', '7ba25440-0000-4000-8000-000000000001', now() - interval '1 hour')
) AS sample (n, purpose, items, status, unknown_since, cloudfront_id, waiting_for, error, fix, submitted_at, ended_at, next_at,
             lease_token, lease_until);

INSERT INTO publish (site_id, id, received_at, items, widened, idempotency_key, body_hash, state, planned, submitted_at,
                     ended_at, published_by)
SELECT 1, ('01a209ba-0000-7000-8000-00000000010' || n)::uuid, now() - interval '2 hours', items::text[], widened::jsonb, key,
       sha256(body::bytea), state, planned, submitted_at, ended_at, 'token GitHub Actions'
FROM (VALUES
  (1, '{/completed,/files/a*}', '[{"from": "/files/a~b", "to": "/files/a*"}]', 'sample-key',
   '{"paths":["/completed","/files/a~b"]}', 'completed', true, now() - interval '2 hours', now() - interval '119 minutes'),
  (2, '{/failed}', NULL, NULL, NULL, 'failed', true, NULL, now() - interval '119 minutes'),
  (3, '{/unconfirmed}', NULL, NULL, NULL, 'unconfirmed', true, now() - interval '2 hours', now() - interval '119 minutes'),
  (4, '{/under-way}', NULL, NULL, NULL, 'in_progress', true, now() - interval '2 hours', NULL),
  (5, '{/planned}', NULL, NULL, NULL, 'queued', true, NULL, NULL),
  (6, '{/waiting}', NULL, NULL, NULL, 'queued', false, NULL, NULL)
) AS sample (n, items, widened, key, body, state, planned, submitted_at, ended_at);

INSERT INTO coverage (invalidation_id, site_id, publish_id)
SELECT ('01a209ba-0000-7000-8000-00000000000' || n)::uuid, 1, ('01a209ba-0000-7000-8000-00000000010' || n)::uuid
FROM generate_series(1, 5) AS n;

INSERT INTO cdn_settings (site_id, slot, distribution_id, access_key_id, secret_access_key, region, saved_at, tested_at,
                          test_report, test_invalidation)
VALUES
  (1, 'active', 'E2SANDBOX0CDN1', 'AKIASANDBOX000000001',
   '\x0108ba25440800dab1abf31c1913e5759463feffa80691c70d5488076620a970b15bcd33eb66f48783019919840394d7471a335e9aed1b756d02ced95e08ff34a3c6a9a2af',
   'us-east-1', now() - interval '2 days', now() - interval '2 days',
   '{"steps": [{"fix": null, "step": "format", "cause": "All fields are well-formed.", "error": null, "outcome": "passed"}, {"fix": null, "step": "credentials", "cause": "AWS knows the credentials, and the signature is right.", "error": null, "outcome": "passed"}, {"fix": null, "step": "create_invalidation", "cause": "CloudFront accepted the invalidation I0SAMPLETEST00 of /skycms-cdn-test.", "error": null, "outcome": "passed"}, {"fix": null, "step": "get_invalidation", "cause": "CloudFront reports how far the invalidation is.", "error": null, "outcome": "passed"}, {"fix": null, "step": "completed", "cause": "CloudFront says that the invalidation is completed.", "error": null, "outcome": "passed"}, {"fix": null, "step": "edge", "cause": "Not checked: no public address is set under Publishing rules.", "error": null, "outcome": "skipped"}], "invalidation": "I0SAMPLETEST00", "caller_reference": "skycms-cdn-sample-0"}',
   '01a209ba-0000-7000-8000-000000000000'),
  (1, 'draft', 'E2SANDBOX0CDN1', 'AKIASANDBOX000000001',
   '\x0109d1bdb5d9490ea113d0598031e1594548a58820c96601a707783b72fa08ab1ec37294e8d206cc19d843cd6e1d66948fcfe825f497588af2d2be036bbc8c7a8c410df2',
   'us-east-1', now() - interval '1 day', now() - interval '1 day',
   '{"steps": [{"fix": null, "step": "format", "cause": "All fields are well-formed.", "error": null, "outcome": "passed"}, {"fix": "Enter the secret access key again.", "step": "credentials", "cause": "The secret access key does not belong to AKIASANDBOX000000001.", "error": {"code": "SignatureDoesNotMatch", "message": "The request signature we calculated does not match.", "request_id": "r-draft", "http_status": 403}, "outcome": "failed"}, {"fix": null, "step": "create_invalidation", "cause": "Not tried, since an earlier step failed.", "error": null, "outcome": "skipped"}, {"fix": null, "step": "get_invalidation", "cause": "Not tried, since an earlier step failed.", "error": null, "outcome": "skipped"}, {"fix": null, "step": "completed", "cause": "Not tried, since an earlier step failed.", "error": null, "outcome": "skipped"}, {"fix": null, "step": "edge", "cause": "Not tried, since an earlier step failed.", "error": null, "outcome": "skipped"}], "invalidation": null, "caller_reference": "skycms-cdn-sample-draft"}',
   NULL);

INSERT INTO publish_token (id, site_id, name, token_hash, unrevealed, created_at, last_used_at, revoked_at) VALUES
  ('01a209ba-0000-7000-8000-000000000201', 1, 'Sample', sha256('skycdn_token_of_the_sample'), NULL, now() - interval '30 days',
   now() - interval '2 hours', NULL),
  ('01a209bb-9d98-74f9-bfb2-c356d9750607', 1, 'First token',
   '\x43a8301785e9f194ca6460d51f469b67ca67dffa8d31274563cdbc0b80db8845',
   '\x01e222178c20d001bd9f789a0e8b2f1fda4e03ca14bb972b29655173c80511357bda7825a05d8356bf5644330645839439a8b3c2be79f7528d471fe963d14dcb1a25eb8e44fcb428b47f31ddbcd3c0',
   now() - interval '30 days', NULL, NULL),
  ('01a209ba-0000-7000-8000-000000000202', 1, 'Revoked', sha256('skycdn_revoked_token_of_the_sample'), NULL,
   now() - interval '30 days', NULL, now() - interval '3 days');

INSERT INTO distribution (id, lease_token, lease_until, calls, sent_at, completed_at, beliefs) VALUES
  ('E2SANDBOX0CDN1', '7ba25440-0000-4000-8000-000000000002', now() - interval '1 hour', 9, now() - interval '2 hours',
   now() - interval '119 minutes',
   '{"files": {"most": 140, "refused": 163, "accepted": 140, "learned_at": "2026-11-25T12:00:00Z", "answered_at": "2026-11-25T12:00:00Z", "full_at": null, "full_for": 0}, "flow": {"tokens": {"files": 100.0, "wildcards": 1.0}, "refilled_at": "2026-11-25T12:00:00Z"}, "throttled": 1}');

INSERT INTO access_key (id, tokens, rate, refilled_at) VALUES ('AKIASANDBOX000000001', 3.5, 0.5, now() - interval '2 hours');

INSERT INTO usage (month, site_id, access_key_id, requests, paths, asked)
VALUES (date_trunc('month', now() AT TIME ZONE 'UTC')::date, 1, 'AKIASANDBOX000000001', 3, 4, 5);
UPDATE site SET monthly_limit = 5000, past_limit = 'hold', limited_until = now() + interval '1 day',
                backlog_since = now() - interval '1 hour', waits_for = 'quota', waits_since = now() - interval '1 hour',
                waits_until = now() - interval '1 hour', stored_waits = true,
                poll_denied_at = now() - interval '1 hour'
WHERE name = 'paused';
UPDATE invalidation SET folded = 7, search = '01a209ba-0000-7000-8000-000000000001',
                        unanswered_since = now() - interval '1 hour' WHERE id = '01a209ba-0000-7000-8000-000000000001';
UPDATE invalidation SET unanswered_since = now() - interval '2 hours' WHERE status = 'Unconfirmed';
INSERT INTO known_path (site_id, path, last_published)
VALUES (1, '/completed', now()::date - 1), (1, '/files/a.png', now()::date - 40);
-- `the-password-of-the-sample`
INSERT INTO account (name, password_hash, changed_at) VALUES
  ('admin', '$argon2id$v=19$m=19456,t=2,p=1$Oj5SDI2TVX5L0odMohpcMw$8KVs1KcjkgBZsqHwHjs0z1dbOH5VX27Qg6J0mWZoxoM',
   now() - interval '3 days');
INSERT INTO set_up_link (token_hash, expires_at) VALUES (sha256('link'), now() + interval '1 hour');
INSERT INTO session (token_hash, user_name, role, source, framed, used_at, ends_at, id, began_at, address)
VALUES (sha256('session'), 'admin', 'admin', 'password', false, now() - interval '1 hour', now() + interval '7 days',
  '01a209ba-d345-7216-9ce4-62084b7389d8', now() - interval '1 day', '127.0.0.1');
INSERT INTO known_device (token_hash, account, used_at) VALUES (sha256('device'), 'admin', now() - interval '1 hour');
INSERT INTO sign_in_tries (key, failures, last_at) VALUES ('strangers admin', 1, now() - interval '1 hour');
INSERT INTO embed_token (jti_hash, expires_at) VALUES (sha256('jti'), now() + interval '1 hour');
-- `whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=`
INSERT INTO hook_secret (id, site_id, secret, unrevealed, created_at, last_used_at) VALUES
  ('01a209ba-cbd9-746c-bedf-50fc27228bda', 1,
   '\x0100aacf00013445f3760d6de3e2e8dca7d5b47056bca7924ef6411b0bcce12a1af46828cadcfb1eadc8d1407512d57e30609559dbd79af6afc4366ee996fdef57d0ee4c7ce1bc0890edd1d20f3df0',
   false, now() - interval '3 days', now() - interval '1 hour');
-- `a/secret/of/a/key/pair/of/the/sample/one`
INSERT INTO key_pair (id, site_id, access_key_id, name, secret, everything_is_home, created_at, rotated_at, last_used_at) VALUES
  ('01a209ba-cbd9-746c-bedf-50fc27228bdb', 1, 'SKYCSAMPLE0000000001', 'Wagtail',
   '\x01000102030405060708090a0b262da57ea697a76fa22ef1a4d0c61308faf9f755990970135e4891ed784673d36c60c29980ae7cfddd0cb3dd5ded8b397f94519715a998cb',
   false, now() - interval '3 days', now() - interval '2 days', now() - interval '1 hour');
INSERT INTO audit (id, at, who, what, detail, address) VALUES
  ('01a209ba-d345-7216-9ce4-62084b7389d7', now() - interval '2 days', 'admin', 'Tested the CDN settings',
   'E2SANDBOX0CDN1: passed, and in force', '127.0.0.1');
UPDATE publish SET traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' WHERE site_id = 1;
INSERT INTO site (name, created_at, removed_at)
VALUES ('removed-3f0c5b1e8a7d4c2fb6a19e0d7c5b4a38', now() - interval '9 days', now() - interval '1 day');
UPDATE session SET site_ids = '{1}';
UPDATE audit SET site_id = 1, source = 'password';
UPDATE site SET public_address = 'https://www.example.com', origin_path = '/live' WHERE name = 'paused';
INSERT INTO edge_check (site_id, publish_id, attempt, checks, worst, checked_at)
SELECT site_id, id, 1,
       '[{"url": "https://www.example.com/completed", "state": "fresh", "checked_at": "2026-11-23T12:00:12Z",
          "http_status": 200, "age": 0, "x_cache": "Miss from cloudfront", "pop": "FRA56-P1", "detail": null}]',
       'fresh', now() - interval '1 hour'
FROM publish WHERE state = 'completed' LIMIT 1;
INSERT INTO refused_call (id, at, site_id, proved, endpoint, status, reason, item, address) VALUES
  ('01a209ba-d345-7216-9ce4-62084b7389d8', now() - interval '1 hour', 1, true, 'hook', 422,
   'One item cannot be purged; nothing was queued. It is listed under `errors`.', '/paths/0: the path is empty', '127.0.0.1');
UPDATE edge_check SET lease_token = '01a209ba-d345-7216-9ce4-62084b7389d9', next_at = now() + interval '20 seconds';
UPDATE cdn_settings SET proven_at = saved_at WHERE site_id = 1;
INSERT INTO default_grant (site_id, distribution_id, origin) VALUES (1, 'E2SANDBOX0CDN1', 'operator');
INSERT INTO session (token_hash, user_name, role, source, framed, used_at, ends_at, id, began_at, address, issuer, site_ids,
                     theme)
VALUES (sha256('session of SkyCMS'), 'ada@example.com', 'editor', 'skycms', true, now() - interval '1 hour',
  now() + interval '7 hours', '01a209ba-d345-7216-9ce4-62084b7389d9', now() - interval '2 hours', '127.0.0.1',
  sha256('issuer'), '{1}', 'dark');
-- `GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ`
INSERT INTO account (name, password_hash, changed_at, second_step, code_used, code_used_at, code_form, password_form) VALUES
  ('somebody', 'no hash', now() - interval '1 day',
   '\x016465666768696a6b6c6d6e6f0f5e84223ea714c8793b6cbc8b2a20ac05875c4ecc22b124e0889f1caaecef1974eec55b4d277dbd99be7c94d1d0e558', 59000000,
   now() - interval '1 hour', sha256('code'), sha256('password'));
-- `https://hooks.example.com/services/of/the/sample`, and the secret of the hook
INSERT INTO endpoint (id, site_id, kind, url, shown, secret, events, created_at, failures, failing_since, next_at,
                      storm_until, off_at, lease_token, lease_until) VALUES
  ('01a209ba-cbd9-746c-bedf-50fc27228bdc', 1, 'standard',
   '\x01101112131415161718191a1b158aec663af3159ca21a67767c570c2bb63d3e627eec34de8ad691022c223db8359a786c93891a871b19e130e7e87f7eb6ef7edde2274de77f5ad4fb1080d857',
   'https://hooks.example.com/…mple',
   '\x01202122232425262728292a2ba552d5150fc75b4f5f3f03b9905eb69eb300afcde8cc27af5cb9286a08d81b6138dba356d77d72987f9c29ea2f6d57a0da17620b82b1b7731f06115c1847e796cbb0',
   '{publish.failed,month.near}', now() - interval '3 days', 2, now() - interval '2 hours', now() - interval '1 hour',
   now() - interval '1 hour', now() - interval '1 hour', '01a209ba-d345-7216-9ce4-62084b7389da',
   now() - interval '1 hour');
INSERT INTO delivery (endpoint_id, event, happened_at, publish_id, publishes, reason, once, body, state, attempts, tries,
                      next_at, ended_at) VALUES
  ('01a209ba-cbd9-746c-bedf-50fc27228bdc', 'publish.failed', now() - interval '2 hours',
   '01a209ba-d345-7216-9ce4-62084b7389db', 1, 'InvalidArgument: A bad path', NULL, '{"type": "publish.failed"}', 'given_up',
   2, '[{"at": "2026-11-25T12:00:00Z", "took_ms": 12, "status": 500, "body": "so it was", "trouble": null}]', NULL,
   now() - interval '1 hour'),
  ('01a209ba-cbd9-746c-bedf-50fc27228bdc', 'month.near', now() - interval '2 hours', NULL, 0, 'Some of it is used.',
   'month.near 2026-11 5', NULL, 'waiting', 0, '[]', now() - interval '1 hour', NULL);
INSERT INTO form_answer (form, answer, created_at)
VALUES (sha256('form'), '\x0100', now() - interval '1 minute');
