-- What the service remembers: sites and their settings, what was published, what CloudFront was told.
-- Times come from the service's clock, never from the server's, so that tests can hand time in.
-- Secrets are sealed by the service (AES-256-GCM) before they get here; tokens are hashed.

CREATE TABLE site (
    id                  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at          timestamptz NOT NULL,
    publisher_hosts     text[] NOT NULL DEFAULT '{}',
    companions          text[] NOT NULL DEFAULT '{}',
    directory_variants  boolean NOT NULL DEFAULT false,
    policy              text NOT NULL DEFAULT 'exact' CHECK (policy IN ('exact', 'economical', 'everything')),
    fold_threshold      integer NOT NULL DEFAULT 100 CHECK (fold_threshold > 0),
    paused_at           timestamptz,
    pause_error         jsonb,
    resume_at           timestamptz,
    CHECK ((paused_at IS NULL) = (pause_error IS NULL) AND (paused_at IS NULL) = (resume_at IS NULL))
);
COMMENT ON TABLE site IS 'A SkyCMS tenant. A fresh install has one, `default`.';
COMMENT ON COLUMN site.publisher_hosts IS 'Hosts whose absolute URLs are accepted; none: any host.';
COMMENT ON COLUMN site.companions IS 'Items that go with every publish of a page, canonical.';
COMMENT ON COLUMN site.directory_variants IS 'Whether /about also means /about/ and /about/index.html.';
COMMENT ON COLUMN site.policy IS 'exact: only what was asked. economical: fold into wildcards. everything: each batch is /*.';
COMMENT ON COLUMN site.fold_threshold IS 'Items in one batch above which the policy economical folds.';
COMMENT ON COLUMN site.paused_at IS 'Since when AWS has been rejecting the settings in force; its publishes wait.';
COMMENT ON COLUMN site.pause_error IS 'What AWS said: {code, message, request_id, http_status}.';
COMMENT ON COLUMN site.resume_at IS 'When the settings are next tried.';

CREATE TABLE cdn_settings (
    site_id            integer NOT NULL REFERENCES site ON DELETE CASCADE,
    slot               text NOT NULL CHECK (slot IN ('active', 'draft', 'environment')),
    distribution_id    text NOT NULL,
    access_key_id      text,
    secret_access_key  bytea,
    region             text NOT NULL,
    saved_at           timestamptz NOT NULL,
    tested_at          timestamptz,
    test_report        jsonb,
    test_invalidation  uuid,
    PRIMARY KEY (site_id, slot),
    CHECK ((access_key_id IS NULL) = (secret_access_key IS NULL))
);
COMMENT ON TABLE cdn_settings IS 'How a site reaches CloudFront.';
COMMENT ON COLUMN cdn_settings.slot IS
    'active: in force. draft: failed its test, kept so that nothing has to be typed again. environment: from the CloudFront__ variables, in force while there is no active row.';
COMMENT ON COLUMN cdn_settings.access_key_id IS 'NULL: the AWS default credentials of the process.';
COMMENT ON COLUMN cdn_settings.secret_access_key IS 'Sealed, with site, slot and field as associated data.';
COMMENT ON COLUMN cdn_settings.saved_at IS 'When this row''s values were saved; with an access key, how old the key is here.';
COMMENT ON COLUMN cdn_settings.test_report IS 'Steps of the last «Save and test»; NULL: saved without a test.';
COMMENT ON COLUMN cdn_settings.test_invalidation IS 'The test''s invalidation, which tells when its last step completes.';

CREATE TABLE publish_token (
    id            uuid PRIMARY KEY,
    site_id       integer NOT NULL REFERENCES site ON DELETE CASCADE,
    name          text NOT NULL,
    token_hash    bytea NOT NULL UNIQUE,
    unrevealed    bytea,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
COMMENT ON TABLE publish_token IS 'Bearer tokens of the publish hook.';
COMMENT ON COLUMN publish_token.token_hash IS 'SHA-256 of the token, which has at least 128 bits of entropy.';
COMMENT ON COLUMN publish_token.unrevealed IS 'The sealed token until it has been shown, once; then NULL.';

CREATE TABLE publish (
    site_id          integer NOT NULL REFERENCES site ON DELETE CASCADE,
    id               uuid NOT NULL,
    received_at      timestamptz NOT NULL,
    items            text[] NOT NULL,
    widened          jsonb,
    idempotency_key  text,
    body_hash        bytea,
    state            text NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'in_progress', 'completed', 'unconfirmed', 'failed')),
    planned          boolean NOT NULL DEFAULT false,
    submitted_at     timestamptz,
    ended_at         timestamptz,
    PRIMARY KEY (site_id, id),
    CHECK ((ended_at IS NULL) = (state IN ('queued', 'in_progress')))
) WITH (fillfactor = 85);
COMMENT ON TABLE publish IS 'One call of the publish hook. Ids are version 7, so their order is the order of arrival.';
COMMENT ON COLUMN publish.items IS 'Canonical items, as the caller was told them.';
COMMENT ON COLUMN publish.widened IS 'Items that stand for something narrower: [{from, to}].';
COMMENT ON COLUMN publish.body_hash IS 'SHA-256 of the request, to tell a repeat from a reused key.';
COMMENT ON COLUMN publish.state IS
    'queued: waits. in_progress: CloudFront has accepted some or all of it. completed: CloudFront said so. unconfirmed: CloudFront accepted, but nobody can ask. failed: with a reason, in its invalidations.';
COMMENT ON COLUMN publish.planned IS 'Whether invalidations that cover all its items are stored.';
COMMENT ON COLUMN publish.submitted_at IS 'When CloudFront had accepted all of it.';

-- The planner reads (site, planned = false) oldest first, the pages all that have not ended.
CREATE INDEX publish_open ON publish (site_id, planned, id) WHERE ended_at IS NULL;
CREATE INDEX publish_trouble ON publish (site_id, id) WHERE state IN ('unconfirmed', 'failed');
CREATE UNIQUE INDEX publish_idempotency ON publish (site_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE invalidation (
    id                uuid PRIMARY KEY,
    site_id           integer NOT NULL REFERENCES site ON DELETE CASCADE,
    purpose           text NOT NULL DEFAULT 'publish' CHECK (purpose IN ('publish', 'test')),
    distribution_id   text NOT NULL,
    caller_reference  text NOT NULL UNIQUE,
    items             text[] NOT NULL,
    files             integer NOT NULL,
    wildcards         integer NOT NULL,
    asked             integer NOT NULL,
    status            text NOT NULL DEFAULT 'Queued'
                      CHECK (status IN ('Queued', 'InProgress', 'Completed', 'Unconfirmed', 'Failed')),
    attempts          integer NOT NULL DEFAULT 0,
    doubts            integer NOT NULL DEFAULT 0 CHECK (doubts >= 0),
    cloudfront_id     text,
    waiting_for       text CHECK (waiting_for IN ('quota', 'rate', 'retry', 'settings')),
    error             jsonb,
    fix               text,
    created_at        timestamptz NOT NULL,
    submitted_at      timestamptz,
    ended_at          timestamptz,
    next_at           timestamptz,
    lease_token       uuid,
    lease_until       timestamptz,
    CHECK ((ended_at IS NULL) = (status IN ('Queued', 'InProgress'))),
    CHECK ((next_at IS NULL) = (ended_at IS NOT NULL)),
    CHECK (status <> 'InProgress' OR cloudfront_id IS NOT NULL),
    CHECK (status <> 'Completed' OR cloudfront_id IS NOT NULL)
);
COMMENT ON TABLE invalidation IS 'One CloudFront invalidation: a caller reference and the fixed list of items that belongs to it.';
COMMENT ON COLUMN invalidation.purpose IS 'publish: covers publishes. test: of «Save and test settings».';
COMMENT ON COLUMN invalidation.files IS 'Items that count against CloudFront''s quota of files in progress.';
COMMENT ON COLUMN invalidation.wildcards IS 'Items that count against CloudFront''s quota of wildcards in progress.';
COMMENT ON COLUMN invalidation.asked IS 'Items its publishes asked for, before coalescing and folding.';
COMMENT ON COLUMN invalidation.status IS
    'Queued: not accepted yet. InProgress: CloudFront accepted. Completed: CloudFront said so. Unconfirmed: accepted, but nobody can ask. Failed: with error and fix.';
COMMENT ON COLUMN invalidation.attempts IS 'Calls of CreateInvalidation that were started.';
COMMENT ON COLUMN invalidation.doubts IS 'Attempts whose outcome is not known. Raised when a call starts, lowered when CloudFront''s answer is recorded, so a crash leaves it raised.';
COMMENT ON COLUMN invalidation.waiting_for IS 'Why it is held.';
COMMENT ON COLUMN invalidation.error IS 'What AWS last said: {code, message, request_id, http_status}.';
COMMENT ON COLUMN invalidation.next_at IS 'When it is next due: to be sent while Queued, to be asked about while InProgress.';
COMMENT ON COLUMN invalidation.lease_token IS 'Whoever records the outcome of a call must show it.';

CREATE INDEX invalidation_due ON invalidation (next_at) WHERE ended_at IS NULL;
CREATE INDEX invalidation_open ON invalidation (distribution_id) WHERE ended_at IS NULL;
CREATE INDEX invalidation_of_site ON invalidation (site_id, id);

CREATE TABLE coverage (
    invalidation_id  uuid NOT NULL REFERENCES invalidation ON DELETE CASCADE,
    site_id          integer NOT NULL,
    publish_id       uuid NOT NULL,
    PRIMARY KEY (site_id, publish_id, invalidation_id),
    FOREIGN KEY (site_id, publish_id) REFERENCES publish ON DELETE CASCADE
);
COMMENT ON TABLE coverage IS 'Which invalidations cover the items of a publish, together all of them.';
CREATE INDEX coverage_of_invalidation ON coverage (invalidation_id);

CREATE TABLE distribution (
    id             text PRIMARY KEY,
    lease_token    uuid,
    lease_until    timestamptz,
    blocked_until  timestamptz,
    blocked_for    text CHECK (blocked_for IN ('quota', 'rate', 'retry')),
    failures       integer NOT NULL DEFAULT 0,
    sent_at        timestamptz,
    CHECK ((blocked_until IS NULL) = (blocked_for IS NULL))
);
COMMENT ON TABLE distribution IS 'One CreateInvalidation at a time for each distribution, whoever sends it.';
COMMENT ON COLUMN distribution.blocked_until IS 'No CreateInvalidation before this time.';
COMMENT ON COLUMN distribution.blocked_for IS 'quota: its in-progress quota is full. rate: its access key has no call left. retry: CloudFront did not answer.';
COMMENT ON COLUMN distribution.failures IS 'Calls without a usable answer since the last one with.';

CREATE TABLE access_key (
    id           text PRIMARY KEY,
    tokens       double precision NOT NULL,
    rate         double precision NOT NULL,
    refilled_at  timestamptz NOT NULL
);
COMMENT ON TABLE access_key IS 'The request rate AWS grants each access key, as a token bucket that all replicas share.';
COMMENT ON COLUMN access_key.id IS 'The access key ID, or `default` for the AWS default credentials.';
COMMENT ON COLUMN access_key.rate IS 'CreateInvalidation calls a second: as configured, less after AWS has throttled.';

CREATE TABLE usage (
    month          date NOT NULL,
    site_id        integer NOT NULL REFERENCES site ON DELETE CASCADE,
    access_key_id  text NOT NULL,
    requests       bigint NOT NULL,
    paths          bigint NOT NULL,
    asked          bigint NOT NULL,
    PRIMARY KEY (month, site_id, access_key_id)
);
COMMENT ON TABLE usage IS 'What CloudFront accepted, and so bills, each month (UTC).';
COMMENT ON COLUMN usage.paths IS 'Paths and tags accepted: what AWS bills beyond the free ones.';
COMMENT ON COLUMN usage.asked IS 'Items that publishes asked for, before coalescing and folding.';
