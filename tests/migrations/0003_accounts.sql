-- What came with 0003, as a service of that schema wrote it.

-- `the-password-of-the-sample`
INSERT INTO account (name, password_hash, changed_at) VALUES
  ('admin', '$argon2id$v=19$m=19456,t=2,p=1$Oj5SDI2TVX5L0odMohpcMw$8KVs1KcjkgBZsqHwHjs0z1dbOH5VX27Qg6J0mWZoxoM',
   now() - interval '3 days');
INSERT INTO set_up_link (token_hash, expires_at) VALUES (sha256('link'), now() + interval '1 hour');
INSERT INTO session (token_hash, user_name, role, source, framed, used_at, ends_at)
VALUES (sha256('session'), 'admin', 'admin', 'password', false, now() - interval '1 hour', now() + interval '7 days');
INSERT INTO known_device (token_hash, account, used_at) VALUES (sha256('device'), 'admin', now() - interval '1 hour');
INSERT INTO sign_in_tries (key, failures, last_at) VALUES ('strangers admin', 1, now() - interval '1 hour');
INSERT INTO embed_token (jti_hash, expires_at) VALUES (sha256('jti'), now() + interval '1 hour');
-- `whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=`
INSERT INTO hook_secret (id, site_id, secret, unrevealed, created_at, last_used_at) VALUES
  ('01a209ba-cbd9-746c-bedf-50fc27228bda', 1,
   '\x0100aacf00013445f3760d6de3e2e8dca7d5b47056bca7924ef6411b0bcce12a1af46828cadcfb1eadc8d1407512d57e30609559dbd79af6afc4366ee996fdef57d0ee4c7ce1bc0890edd1d20f3df0',
   false, now() - interval '3 days', now() - interval '1 hour');
INSERT INTO audit (id, at, who, what, detail, address) VALUES
  ('01a209ba-d345-7216-9ce4-62084b7389d7', now() - interval '2 days', 'admin', 'Tested the CDN settings',
   'E2SANDBOX0CDN1: passed, and in force', '127.0.0.1');
