-- Who may sign in, who is signed in, who may sign what it publishes, and who did what.
-- Passwords are kept as argon2id hashes, random tokens as SHA-256: neither can be read back.

CREATE TABLE account (
    name           text PRIMARY KEY,
    password_hash  text NOT NULL,
    changed_at     timestamptz NOT NULL
);
COMMENT ON TABLE account IS 'Users with a password here. There is one, `admin`, as soon as its password is set.';
COMMENT ON COLUMN account.password_hash IS 'argon2id, as a PHC string.';

CREATE TABLE set_up_link (
    token_hash  bytea PRIMARY KEY,
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE set_up_link IS 'One-time links that set the password of `admin`. Using one erases all.';

CREATE TABLE session (
    token_hash  bytea PRIMARY KEY,
    user_name   text NOT NULL,
    role        text NOT NULL CHECK (role IN ('admin', 'editor')),
    source      text NOT NULL CHECK (source IN ('password', 'skycms')),
    framed      boolean NOT NULL,
    used_at     timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL
);
COMMENT ON TABLE session IS 'Who is signed in.';
COMMENT ON COLUMN session.source IS 'password: signed in here. skycms: sent by SkyCMS with a token.';
COMMENT ON COLUMN session.framed IS 'Shown in a frame of SkyCMS.';
COMMENT ON COLUMN session.used_at IS 'To the minute. A session that has not been used for 12 hours is over.';
COMMENT ON COLUMN session.ends_at IS 'When it is over in any case.';
CREATE INDEX session_of_user ON session (user_name);

CREATE TABLE known_device (
    token_hash  bytea PRIMARY KEY,
    account     text NOT NULL REFERENCES account ON DELETE CASCADE,
    used_at     timestamptz NOT NULL
);
COMMENT ON TABLE known_device IS 'Browsers that have signed in before. What others try never holds them up.';

CREATE TABLE sign_in_tries (
    key       text PRIMARY KEY,
    failures  integer NOT NULL,
    last_at   timestamptz NOT NULL
);
COMMENT ON TABLE sign_in_tries IS 'Failed sign-ins of an address, a known browser, or strangers to an account.';
COMMENT ON COLUMN sign_in_tries.failures IS 'A try counts as failed from its beginning until it has succeeded.';

CREATE TABLE embed_token (
    jti_hash    bytea PRIMARY KEY,
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE embed_token IS 'Tokens of SkyCMS that were used, until they expire: each opens one session.';

CREATE TABLE hook_secret (
    id            uuid PRIMARY KEY,
    site_id       integer NOT NULL REFERENCES site ON DELETE CASCADE,
    secret        bytea NOT NULL,
    unrevealed    boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
COMMENT ON TABLE hook_secret IS 'Signing secrets of the publish hook (Standard Webhooks); all rows are in force. Revoking one erases it.';
COMMENT ON COLUMN hook_secret.secret IS 'Sealed, with site and id as associated data.';
COMMENT ON COLUMN hook_secret.unrevealed IS 'It waits to be shown, once.';
CREATE INDEX hook_secret_of_site ON hook_secret (site_id);

CREATE TABLE audit (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    who      text NOT NULL,
    what     text NOT NULL,
    detail   text,
    address  text NOT NULL
);
COMMENT ON TABLE audit IS 'Who did what, when, from where. Ids are version 7, so their order is the order of events. No secrets.';
