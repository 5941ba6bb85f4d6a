-- What the service remembers: sites and their settings, what was published, what CloudFront was told, who signs in.
--
-- Times come from the service's clock, never from the server's, so that tests can hand time in. Secrets are sealed by
-- the service (AES-256-GCM) before they get here, random tokens are stored as SHA-256, passwords as argon2id.
--
-- Migrations after this one run on tables of ten million rows while publishes arrive: none may rewrite a table, build
-- an index without CONCURRENTLY, or check existing rows while it holds a lock. tests/service/migrations.rs refuses those.

CREATE TABLE site (
    id                  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    created_at          timestamptz NOT NULL,
    publisher_hosts     text[] NOT NULL DEFAULT '{}',
    related             text[] NOT NULL DEFAULT '{}',
    directory_variants  boolean NOT NULL DEFAULT false,
    public_address      text,
    origin_path         text NOT NULL DEFAULT '',
    policy              text NOT NULL DEFAULT 'exact' CHECK (policy IN ('exact', 'economical', 'everything')),
    fold_threshold      integer NOT NULL DEFAULT 100 CHECK (fold_threshold > 0),
    paused_at           timestamptz,
    pause_error         jsonb,
    resume_at           timestamptz,
    monthly_limit       bigint CHECK (monthly_limit > 0),
    past_limit          text NOT NULL DEFAULT 'economical' CHECK (past_limit IN ('economical', 'hold')),
    limited_until       timestamptz,
    backlog_since       timestamptz,
    waits_for           text CHECK (waits_for IN ('quota', 'rate', 'retry')),
    waits_since         timestamptz,
    waits_until         timestamptz,
    stored_waits        boolean NOT NULL DEFAULT false,
    poll_denied_at      timestamptz,
    settings_version    integer NOT NULL DEFAULT 1,
    publishing_version  integer NOT NULL DEFAULT 1,
    spending_version    integer NOT NULL DEFAULT 1,
    removed_at          timestamptz,
    CHECK (num_nulls(waits_for, waits_since, waits_until) IN (0, 3)),
    CHECK ((paused_at IS NULL) = (pause_error IS NULL) AND (paused_at IS NULL) = (resume_at IS NULL))
);
COMMENT ON TABLE site IS 'A SkyCMS tenant. A fresh install has one, `default`.';
COMMENT ON COLUMN site.publisher_hosts IS 'Hosts whose absolute URLs are accepted; none: any host.';
COMMENT ON COLUMN site.related IS 'Rules of what else a publish purges, canonical: `/blog/* => /blog/ /feed.xml`, or `/sitemap.xml` for every page.';
COMMENT ON COLUMN site.directory_variants IS 'Whether /about also means /about/ and /about/index.html.';
COMMENT ON COLUMN site.public_address IS 'Where readers find it: https://www.example.com. NULL: its pages are not looked at.';
COMMENT ON COLUMN site.origin_path IS 'The folder of its origin at which the distribution begins, such as /live, as typed; repeated to senders that ask for the distribution.';
COMMENT ON COLUMN site.policy IS 'exact: only what was asked. economical: fold into wildcards. everything: each batch is /*.';
COMMENT ON COLUMN site.fold_threshold IS 'Items in one batch above which the policy economical folds.';
COMMENT ON COLUMN site.paused_at IS 'Since when AWS has been rejecting the settings in force; its publishes wait.';
COMMENT ON COLUMN site.pause_error IS 'What AWS said: {code, message, request_id, http_status}.';
COMMENT ON COLUMN site.resume_at IS 'When the settings are next tried.';
COMMENT ON COLUMN site.monthly_limit IS 'Paths its publishes may take in a month (UTC); NULL: any number.';
COMMENT ON COLUMN site.past_limit IS 'What happens past it. economical: publishes are folded. hold: they wait for the next month.';
COMMENT ON COLUMN site.limited_until IS 'Until when publishes wait that its monthly limit leaves no room for; NULL: none do.';
COMMENT ON COLUMN site.backlog_since IS 'Since when each call for it has left publishes waiting for room; NULL: the last one took all, or there was none since the settings changed.';
COMMENT ON COLUMN site.waits_for IS
    'Why it could send nothing new when it was last looked at. quota: CloudFront has no room. rate: its access key has no call left. retry: CloudFront does not answer.';
COMMENT ON COLUMN site.waits_since IS 'A second before that was found. What it has published since is looked at all the same.';
COMMENT ON COLUMN site.waits_until IS 'When it is looked at again unasked.';
COMMENT ON COLUMN site.stored_waits IS
    'Whether what it has stored waits until then too: its access key has no call left. To note that with each of ten thousand invalidations would mean writing all of them for each call.';
COMMENT ON COLUMN site.poll_denied_at IS 'When AWS last denied its key GetInvalidation; NULL: it may ask, as far as is known.';
COMMENT ON COLUMN site.settings_version IS 'Raised with every change of the settings in force or of what the owner allows, and when what was planned is taken back. Whoever has planned restates it.';
COMMENT ON COLUMN site.publishing_version IS
    'Raised with every change of publisher_hosts, related, directory_variants and origin_path. A form restates the one it was filled in from.';
COMMENT ON COLUMN site.spending_version IS 'The same for policy, fold_threshold, monthly_limit and past_limit.';
COMMENT ON COLUMN site.removed_at IS
    'When it was removed. From then on its name is free, its settings and secrets are gone, and its history is deleted in small steps. The row itself stays as long as history is kept, so that the hashes of its tokens still answer “no such site” and its paths of the month still count for their access key.';

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
    proven_at          timestamptz,
    PRIMARY KEY (site_id, slot),
    CHECK ((access_key_id IS NULL) = (secret_access_key IS NULL))
);
COMMENT ON TABLE cdn_settings IS 'How a site reaches CloudFront.';
COMMENT ON COLUMN cdn_settings.slot IS
    'active: in force. draft: failed its test, kept so that nothing has to be typed again. environment: from the CloudFront__ variables, in force while there is no active row.';
COMMENT ON COLUMN cdn_settings.access_key_id IS 'NULL: the AWS default credentials of the process.';
COMMENT ON COLUMN cdn_settings.secret_access_key IS 'Sealed, with site, slot and field as associated data.';
COMMENT ON COLUMN cdn_settings.saved_at IS 'When this row''s values were saved; with an access key, how old the key is here.';
COMMENT ON COLUMN cdn_settings.test_report IS 'Steps of the last “Save and test”; NULL: saved without a test.';
COMMENT ON COLUMN cdn_settings.test_invalidation IS 'The test''s invalidation, which shows when its last step completes.';

COMMENT ON COLUMN cdn_settings.proven_at IS
    'When AWS accepted a signature with this access key from this site; NULL: not since it was saved. Anybody can type the ID of another''s key: only a proof lets the site share its rate and its free paths.';

CREATE TABLE default_grant (
    site_id          integer NOT NULL REFERENCES site ON DELETE CASCADE,
    distribution_id  text NOT NULL,
    origin           text NOT NULL CHECK (origin IN ('environment', 'operator')),
    PRIMARY KEY (site_id, distribution_id, origin)
);
COMMENT ON TABLE default_grant IS
    'Which sites may use the AWS default credentials of the process, and for which distributions: they reach whatever the machine''s role reaches, so that only the operator gives them.';
COMMENT ON COLUMN default_grant.origin IS 'environment: from AWS_DEFAULT_CREDENTIALS_FOR, as of the last start. operator: on the page or by a command.';

CREATE VIEW settings_in_force AS
SELECT c.*,
       CASE WHEN c.access_key_id IS NULL THEN 'default'
            WHEN c.proven_at IS NULL THEN 'site/' || c.site_id || '/unproven'
            ELSE c.access_key_id END AS rate_key,
       c.access_key_id IS NOT NULL OR EXISTS (
         SELECT FROM default_grant g WHERE g.site_id = c.site_id AND g.distribution_id = c.distribution_id) AS granted
FROM cdn_settings c
WHERE c.slot = 'active'
   OR c.slot = 'environment' AND NOT EXISTS (
     SELECT FROM cdn_settings a WHERE a.site_id = c.site_id AND a.slot = 'active');
COMMENT ON VIEW settings_in_force IS
    'What each site is served with: what was saved, else what the environment gives. `rate_key` is the row of access_key that it goes by; without `granted` it may not call AWS.';

CREATE TABLE publish_token (
    id            uuid PRIMARY KEY,
    site_id       integer NOT NULL REFERENCES site ON DELETE CASCADE,
    name          text NOT NULL,
    token_hash    bytea NOT NULL UNIQUE,
    ending        text NOT NULL DEFAULT '',
    unrevealed    bytea,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
COMMENT ON TABLE publish_token IS 'Bearer tokens of the publish hook.';
COMMENT ON COLUMN publish_token.token_hash IS 'SHA-256 of the token, which has at least 128 bits of entropy.';
COMMENT ON COLUMN publish_token.ending IS 'Its last four characters, so that people can tell which one a publisher has.';
COMMENT ON COLUMN publish_token.unrevealed IS 'The sealed token until it has been shown, once; then NULL.';

CREATE UNIQUE INDEX publish_token_by_name ON publish_token (site_id, name) WHERE revoked_at IS NULL;

CREATE TABLE hook_secret (
    id            uuid PRIMARY KEY,
    site_id       integer NOT NULL REFERENCES site ON DELETE CASCADE,
    secret        bytea NOT NULL,
    unrevealed    boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz
);
COMMENT ON TABLE hook_secret IS 'Signing secrets of the publish hook (Standard Webhooks); all rows are in force. Revoking one deletes it.';
COMMENT ON COLUMN hook_secret.secret IS 'Sealed, with site and id as associated data.';
COMMENT ON COLUMN hook_secret.unrevealed IS 'It has not been shown yet, which happens once.';
CREATE INDEX hook_secret_of_site ON hook_secret (site_id);

CREATE TABLE key_pair (
    id                  uuid PRIMARY KEY,
    site_id             integer NOT NULL REFERENCES site ON DELETE CASCADE,
    access_key_id       text NOT NULL UNIQUE,
    name                text NOT NULL,
    secret              bytea NOT NULL,
    everything_is_home  boolean NOT NULL,
    created_at          timestamptz NOT NULL,
    rotated_at          timestamptz,
    last_used_at        timestamptz
);
COMMENT ON TABLE key_pair IS 'Key pairs for senders that speak CloudFront''s own API.';
COMMENT ON COLUMN key_pair.secret IS 'Sealed, with site and id as associated data.';
COMMENT ON COLUMN key_pair.everything_is_home IS 'Whether its sender means the home page by /*, as SkyCMS''s driver does.';
COMMENT ON COLUMN key_pair.rotated_at IS 'When it got the secret it has; NULL: when it was made.';
CREATE INDEX key_pair_of_site ON key_pair (site_id, id);

CREATE TABLE form_answer (
    form        bytea PRIMARY KEY,
    answer      bytea NOT NULL,
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE form_answer IS
    'Secrets that forms of the pages gave or were given, for ten minutes: what a second press is shown too, and what need not be typed again because another field was wrong.';
COMMENT ON COLUMN form_answer.form IS 'SHA-256 of the form''s one-time key and of what was sent with it.';
COMMENT ON COLUMN form_answer.answer IS 'Sealed, with the form as associated data.';
CREATE INDEX form_answer_by_age ON form_answer (created_at);

CREATE TABLE publish (
    site_id          integer NOT NULL,
    id               uuid NOT NULL,
    received_at      timestamptz NOT NULL,
    items            text[] NOT NULL,
    files            integer NOT NULL DEFAULT 0,
    wildcards        integer NOT NULL DEFAULT 0,
    widened          jsonb,
    idempotency_key  text,
    body_hash        bytea,
    state            text NOT NULL DEFAULT 'queued',
    planned          boolean NOT NULL DEFAULT false,
    submitted_at     timestamptz,
    ended_at         timestamptz,
    traceparent      text,
    published_by     text,
    trouble          text GENERATED ALWAYS AS (CASE WHEN state IN ('unconfirmed', 'failed') THEN state END) STORED,
    PRIMARY KEY (site_id, id),
    -- One for both: PostgreSQL prepares each for each statement that stores publishes.
    CHECK (CASE WHEN ended_at IS NULL THEN state IN ('queued', 'in_progress')
                ELSE state IN ('completed', 'unconfirmed', 'failed') END)
) WITH (
    fillfactor = 85,
    -- The front of the queue is read for every call: rows that have been planned must not stay in its way.
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02
);
COMMENT ON TABLE publish IS 'One call of the publish hook. Ids are version 7, so their order is the order of arrival.';
COMMENT ON COLUMN publish.site_id IS
    'A site that existed when it was accepted. Not a foreign key: that would lock the site once for each row, a third of what storing one costs. Removing a site removes its publishes.';
COMMENT ON COLUMN publish.items IS 'Canonical items, as the caller was told them.';
COMMENT ON COLUMN publish.files IS
    'How many of the items are paths without a wildcard, or tags. To find that out from `items` means to unpack them.';
COMMENT ON COLUMN publish.wildcards IS 'How many of the items are paths with a wildcard.';
COMMENT ON COLUMN publish.widened IS 'Items that stand for something narrower: [{from, to}].';
COMMENT ON COLUMN publish.body_hash IS 'SHA-256 of the request, to tell a repeat from a reused key.';
COMMENT ON COLUMN publish.state IS
    'queued: waits. in_progress: CloudFront has accepted some or all of it. completed: CloudFront said so. unconfirmed: CloudFront accepted, but nobody can ask. failed: with a reason, in its invalidations.';
COMMENT ON COLUMN publish.planned IS 'Whether invalidations that cover all its items are stored.';
COMMENT ON COLUMN publish.submitted_at IS 'When CloudFront had accepted all of it.';
COMMENT ON COLUMN publish.traceparent IS 'W3C trace context, as the publisher sent it; NULL: none.';
COMMENT ON COLUMN publish.published_by IS
    'What proved it, by its name, or who: "token …", "signature", "key-pair …", "user …", "skycms-user …".';
COMMENT ON COLUMN publish.trouble IS
    'The state of one that ended other than completed, else NULL: what lists are made of. An index on `state` itself would have to be written for every publish that CloudFront accepts.';

-- The planner reads (site, planned = false) oldest first, the pages all that have not ended.
CREATE INDEX publish_open ON publish (site_id, planned, id) WHERE ended_at IS NULL;
-- Whether one waits whose kind has room is asked again and again in a storm; few publishes hold wildcards.
CREATE INDEX publish_waiting_wildcards ON publish (site_id, id) WHERE NOT planned AND ended_at IS NULL AND wildcards > 0;
CREATE INDEX publish_by_trouble ON publish (site_id, trouble, id) WHERE trouble IS NOT NULL;
CREATE UNIQUE INDEX publish_idempotency ON publish (site_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Pruning reads what ended long ago, oldest first.
CREATE INDEX publish_ended ON publish (ended_at) WHERE ended_at IS NOT NULL;

-- One step through the index for each site, however many sites there are: PostgreSQL cannot know how few of them wait.
CREATE VIEW waiting_site AS
WITH RECURSIVE step AS (
  (SELECT site_id FROM publish WHERE NOT planned AND ended_at IS NULL ORDER BY site_id LIMIT 1)
  UNION ALL
  SELECT (SELECT p.site_id FROM publish p
          WHERE p.site_id > step.site_id AND NOT p.planned AND p.ended_at IS NULL ORDER BY p.site_id LIMIT 1)
  FROM step WHERE step.site_id IS NOT NULL)
SELECT site_id FROM step WHERE site_id IS NOT NULL;
COMMENT ON VIEW waiting_site IS 'Sites with publishes that no invalidation covers yet.';

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
    folded            integer NOT NULL DEFAULT 0 CHECK (folded >= 0),
    status            text NOT NULL DEFAULT 'Queued'
                      CHECK (status IN ('Queued', 'InProgress', 'Completed', 'Unconfirmed', 'Failed')),
    attempts          integer NOT NULL DEFAULT 0,
    unknown_since     timestamptz,
    unanswered_since  timestamptz,
    throttled         integer NOT NULL DEFAULT 0,
    search            uuid,
    set_aside         boolean NOT NULL DEFAULT false,
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
    item_count        integer GENERATED ALWAYS AS (cardinality(items)) STORED,
    first_items       text[] GENERATED ALWAYS AS (items[1:10]) STORED,
    CHECK ((ended_at IS NULL) = (status IN ('Queued', 'InProgress'))),
    CHECK ((next_at IS NULL) = (ended_at IS NOT NULL)),
    CHECK (status <> 'InProgress' OR cloudfront_id IS NOT NULL),
    CHECK (status <> 'Completed' OR cloudfront_id IS NOT NULL)
);
COMMENT ON TABLE invalidation IS 'One CloudFront invalidation: a caller reference and the fixed list of items that belongs to it.';
COMMENT ON COLUMN invalidation.purpose IS 'publish: covers publishes. test: of “Save and test settings”.';
COMMENT ON COLUMN invalidation.files IS 'Items that count against CloudFront''s quota of files in progress.';
COMMENT ON COLUMN invalidation.wildcards IS 'Items that count against CloudFront''s quota of wildcards in progress.';
COMMENT ON COLUMN invalidation.asked IS 'Items its publishes asked for, before coalescing and folding.';
COMMENT ON COLUMN invalidation.folded IS
    'How many more items it would have had without the site''s policy: what is in progress counts unfolded, so that a rebuild that comes bit by bit is folded like one that comes at once.';
COMMENT ON COLUMN invalidation.status IS
    'Queued: not accepted yet. InProgress: CloudFront accepted. Completed: CloudFront said so. Unconfirmed: accepted, but nobody can ask. Failed: with error and fix.';
COMMENT ON COLUMN invalidation.attempts IS 'Calls of CreateInvalidation that were started.';
COMMENT ON COLUMN invalidation.unknown_since IS
    'When the latest attempt began whose outcome is not known; NULL: there is none. Set when a call is claimed, and taken back when CloudFront''s answer to that call is recorded, so that a crash in between leaves it set.';
COMMENT ON COLUMN invalidation.unanswered_since IS 'Queued: when the first of the calls began that CloudFront has not answered; any answer clears it, except one that says that such a call was accepted. InProgress: when the first question ended without a usable answer; any such answer clears it.';
COMMENT ON COLUMN invalidation.throttled IS 'How often it was throttled in a row; a call that could not be made changes nothing.';
COMMENT ON COLUMN invalidation.search IS 'The refused batch that it is a piece of, while the item at fault is looked for.';
COMMENT ON COLUMN invalidation.set_aside IS
    'The site moved to another distribution before it was known whether this was accepted. It is sent again, under its own reference, if the site moves back.';
COMMENT ON COLUMN invalidation.waiting_for IS 'Why it is held.';
COMMENT ON COLUMN invalidation.error IS 'What AWS last said: {code, message, request_id, http_status}.';
COMMENT ON COLUMN invalidation.next_at IS 'When it is next due: to be sent while Queued, to be asked about while InProgress.';
COMMENT ON COLUMN invalidation.lease_token IS 'Whoever records the outcome of a call must show it.';
COMMENT ON COLUMN invalidation.first_items IS
    'What lists show: to find that out from `items` means to unpack all of them, hundreds of kilobytes for each row.';

CREATE INDEX invalidation_to_ask ON invalidation (next_at) WHERE status = 'InProgress' AND unanswered_since IS NULL;
CREATE INDEX invalidation_unanswered ON invalidation (next_at) WHERE status = 'InProgress' AND unanswered_since IS NOT NULL;
CREATE INDEX invalidation_open ON invalidation (distribution_id) WHERE ended_at IS NULL;
CREATE INDEX invalidation_of_site ON invalidation (site_id, id);
CREATE INDEX invalidation_by_status ON invalidation (site_id, status, id);
CREATE INDEX invalidation_ended ON invalidation (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX invalidation_queued ON invalidation (site_id, distribution_id, next_at) WHERE status = 'Queued';
CREATE INDEX invalidation_unconfirmed ON invalidation (distribution_id, least(unanswered_since, submitted_at))
  WHERE status = 'Unconfirmed';
CREATE INDEX invalidation_set_aside ON invalidation (site_id) WHERE set_aside;
CREATE INDEX invalidation_of_search ON invalidation (search) WHERE search IS NOT NULL;

CREATE VIEW counted AS
SELECT site_id, distribution_id, files, wildcards, folded,
       CASE WHEN status = 'Queued' THEN unanswered_since WHEN error IS NOT NULL THEN submitted_at END AS since
FROM invalidation
WHERE ended_at IS NULL
  AND (status = 'InProgress' OR status = 'Queued' AND unknown_since IS NOT NULL AND unanswered_since IS NOT NULL)
UNION ALL
SELECT site_id, distribution_id, files, wildcards, folded, least(unanswered_since, submitted_at)
FROM invalidation
WHERE status = 'Unconfirmed' AND unanswered_since IS NOT NULL;
COMMENT ON VIEW counted IS
    'What may be in progress at CloudFront, and so counts against a quota. `since` is NULL while CloudFront itself says that it is in progress; else it counts from then for as long as others take to complete.';

CREATE TABLE coverage (
    invalidation_id  uuid NOT NULL,
    site_id          integer NOT NULL,
    publish_id       uuid NOT NULL,
    PRIMARY KEY (site_id, publish_id, invalidation_id)
);
COMMENT ON TABLE coverage IS
    'Which invalidations cover the items of a publish: together all of them, once it is planned. Both ends are made and deleted in the same transaction as the row; foreign keys would lock each publish once more.';
CREATE INDEX coverage_of_invalidation ON coverage (invalidation_id);

CREATE TABLE edge_check (
    site_id      integer NOT NULL,
    publish_id   uuid NOT NULL,
    attempt      smallint NOT NULL DEFAULT 0,
    checks       jsonb NOT NULL DEFAULT '[]',
    worst        text CHECK (worst IN ('fresh', 'stale', 'not_cloudfront', 'unreachable')),
    checked_at   timestamptz,
    next_at      timestamptz,
    lease_token  uuid,
    PRIMARY KEY (site_id, publish_id)
);
COMMENT ON TABLE edge_check IS
    'What readers get of a completed publish''s pages. Made with the completion and deleted with the publish; foreign keys would lock both once more.';
COMMENT ON COLUMN edge_check.attempt IS 'How many looks there were.';
COMMENT ON COLUMN edge_check.checks IS 'What the last look found, a page each.';
COMMENT ON COLUMN edge_check.next_at IS 'When to look, or while somebody looks, when their lease ends; NULL: never again.';
COMMENT ON COLUMN edge_check.lease_token IS 'Whoever notes what was found must show it.';
CREATE INDEX edge_check_due ON edge_check (site_id, next_at) WHERE next_at IS NOT NULL;

CREATE TABLE endpoint (
    id             uuid PRIMARY KEY,
    site_id        integer NOT NULL REFERENCES site ON DELETE CASCADE,
    kind           text NOT NULL CHECK (kind IN ('standard', 'slack')),
    url            bytea NOT NULL,
    shown          text NOT NULL,
    secret         bytea,
    events         text[] NOT NULL,
    created_at     timestamptz NOT NULL,
    failures       integer NOT NULL DEFAULT 0,
    failing_since  timestamptz,
    next_at        timestamptz NOT NULL,
    storm_until    timestamptz,
    off_at         timestamptz,
    lease_token    uuid,
    lease_until    timestamptz,
    CHECK ((kind = 'standard') = (secret IS NOT NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL))
);
COMMENT ON TABLE endpoint IS 'Where a site''s notifications go.';
COMMENT ON COLUMN endpoint.url IS 'Sealed, with site and id as associated data: who knows it may often post there.';
COMMENT ON COLUMN endpoint.shown IS 'As much of the address as pages show.';
COMMENT ON COLUMN endpoint.secret IS 'Signs what is sent (Standard Webhooks). Sealed like the address. NULL: Slack takes no signature.';
COMMENT ON COLUMN endpoint.events IS 'What it wants to hear of.';
COMMENT ON COLUMN endpoint.failures IS 'Attempts that failed since the last one that did not.';
COMMENT ON COLUMN endpoint.next_at IS 'Nothing is sent before, since it has just failed.';
COMMENT ON COLUMN endpoint.storm_until IS 'Until when completed publishes gather, to be told in one message.';
COMMENT ON COLUMN endpoint.off_at IS 'When it was switched off, having failed for a day; NULL: it is on.';
COMMENT ON COLUMN endpoint.lease_token IS 'Whoever notes how a delivery ended must show it: one at a time.';
CREATE INDEX endpoint_of_site ON endpoint (site_id, id);

CREATE TABLE delivery (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    seq          bigint GENERATED ALWAYS AS IDENTITY,
    endpoint_id  uuid NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    event        text NOT NULL,
    happened_at  timestamptz NOT NULL,
    publish_id   uuid,
    publishes    integer NOT NULL DEFAULT 0,
    reason       text,
    once         text,
    body         text,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts     integer NOT NULL DEFAULT 0,
    tries        jsonb NOT NULL DEFAULT '[]',
    next_at      timestamptz,
    ended_at     timestamptz,
    CHECK ((state = 'waiting') = (next_at IS NOT NULL) AND (state = 'waiting') = (ended_at IS NULL))
);
COMMENT ON TABLE delivery IS
    'The outbox of notifications and its history: a message to an endpoint, stored with the change that causes it.';
COMMENT ON COLUMN delivery.id IS 'With `msg_` before it the `webhook-id`, the same at each attempt.';
COMMENT ON COLUMN delivery.seq IS 'The order of events.';
COMMENT ON COLUMN delivery.publish_id IS 'The publish that it is about; NULL: none, or several.';
COMMENT ON COLUMN delivery.publishes IS 'How many publishes it is about.';
COMMENT ON COLUMN delivery.once IS 'What an endpoint hears of only once, such as a month''s limit.';
COMMENT ON COLUMN delivery.body IS 'What is posted. NULL before the first attempt: until then messages of the same event are put into one.';
COMMENT ON COLUMN delivery.attempts IS 'Attempts that were begun since it was stored, or ordered again.';
COMMENT ON COLUMN delivery.tries IS 'The latest attempts, oldest first: {at, took_ms, status, body, trouble}.';
COMMENT ON COLUMN delivery.next_at IS 'When to send it.';
CREATE INDEX delivery_waiting ON delivery (endpoint_id, seq) WHERE next_at IS NOT NULL;
CREATE INDEX delivery_of_endpoint ON delivery (endpoint_id, seq);
CREATE INDEX delivery_once ON delivery (endpoint_id, once) WHERE once IS NOT NULL;
CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE refused_call (
    id        uuid PRIMARY KEY,
    at        timestamptz NOT NULL,
    site_id   integer REFERENCES site ON DELETE CASCADE,
    proved    boolean NOT NULL,
    endpoint  text NOT NULL CHECK (endpoint IN ('hook', 'cloudfront')),
    status    smallint NOT NULL,
    reason    text NOT NULL,
    item      text,
    address   text NOT NULL
);
COMMENT ON TABLE refused_call IS
    'The latest calls of publishers that were refused: a hundred that proved a site and a hundred that did not, for each site.';
COMMENT ON COLUMN refused_call.site_id IS 'The site that was proved or, failing that, named; NULL: none that exists.';
COMMENT ON COLUMN refused_call.proved IS 'Whether the caller had a valid token, secret or key pair of the site.';
COMMENT ON COLUMN refused_call.item IS 'What is wrong with the first bad item.';
CREATE INDEX refused_call_of_site ON refused_call (site_id, proved, id);

CREATE TABLE distribution (
    id            text PRIMARY KEY,
    lease_token   uuid,
    lease_until   timestamptz,
    calls         bigint NOT NULL DEFAULT 0,
    sent_at       timestamptz,
    completed_at  timestamptz,
    beliefs       jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE distribution IS 'One CreateInvalidation at a time for each distribution, whoever sends it.';
COMMENT ON COLUMN distribution.calls IS 'Calls that were claimed. A claim restates the number that it went by.';
COMMENT ON COLUMN distribution.completed_at IS 'When something in progress there last ended, so that there may be room.';
COMMENT ON COLUMN distribution.beliefs IS
    'What one call may hold and what it takes a second, learned from refusals, and what CloudFront said is full (src/domain/belief/mod.rs). Read and written whole, by whoever holds the lease.';

CREATE VIEW due_site AS
SELECT work.site_id, d.id AS distribution_id, f.rate_key, max(d.sent_at) AS sent_at,
       greatest(min(greatest(work.at, CASE WHEN work.distribution_id IS NOT NULL AND s.stored_waits THEN s.waits_until END)),
                s.resume_at, max(d.lease_until)) AS at
FROM (
  SELECT w.site_id, NULL AS distribution_id,
         -- One that came later than it is looked at again anyway is from the future of a clock that was set back.
         CASE WHEN (SELECT p.received_at BETWEEN s.waits_since AND s.waits_until FROM publish p
                    WHERE p.site_id = s.id AND NOT p.planned AND p.ended_at IS NULL
                    ORDER BY p.planned DESC, p.id DESC LIMIT 1) IS FALSE
              THEN s.waits_until ELSE 'epoch' END AS at
  FROM waiting_site w JOIN site s ON s.id = w.site_id
  UNION ALL
  SELECT site_id, distribution_id, next_at FROM invalidation WHERE status = 'Queued') work
JOIN site s ON s.id = work.site_id
JOIN settings_in_force f ON f.site_id = s.id
JOIN distribution d ON d.id = f.distribution_id
WHERE work.distribution_id IS NULL OR work.distribution_id = d.id
GROUP BY work.site_id, d.id, f.rate_key, s.resume_at;
COMMENT ON VIEW due_site IS 'Sites that have something to send to the distribution in force, and when each is to be looked at.';

CREATE TABLE access_key (
    id           text PRIMARY KEY,
    tokens       double precision NOT NULL,
    rate         double precision NOT NULL,
    refilled_at  timestamptz NOT NULL
);
COMMENT ON TABLE access_key IS 'The request rate AWS grants each access key, as a token bucket that all replicas share.';
COMMENT ON COLUMN access_key.id IS
    'The access key ID, or `default` for the AWS default credentials, both shared by all sites that proved them; `site/7/unproven` for the keys that site 7 has not proved, as in the view settings_in_force; `site/7/tests` for how often it may test its settings.';
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

-- Who may sign in, who is signed in, and who did what.

CREATE TABLE account (
    name           text PRIMARY KEY,
    password_hash  text NOT NULL,
    changed_at     timestamptz NOT NULL,
    second_step    bytea,
    code_used      bigint,
    code_used_at   timestamptz,
    code_form      bytea,
    password_form  bytea
);
COMMENT ON TABLE account IS 'Users with a password here. There is one, `admin`, as soon as its password is set.';
COMMENT ON COLUMN account.second_step IS
    'The sealed secret that an authenticator app shares (TOTP), with the account as associated data; NULL: the password is enough.';
COMMENT ON COLUMN account.code_used IS 'The half-minute of the last code that was used: none works in two forms.';
COMMENT ON COLUMN account.code_form IS
    'SHA-256 of the one-time key and the code of the form that used it, and may be sent again for some seconds after code_used_at.';
COMMENT ON COLUMN account.password_form IS
    'SHA-256 of the one-time key and the session or link of the form that set the password, and may be sent again for some minutes after changed_at.';
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
    theme       text CHECK (theme IN ('dark', 'light')),
    used_at     timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    site_ids    integer[],
    id          uuid NOT NULL UNIQUE,
    began_at    timestamptz NOT NULL,
    address     text NOT NULL,
    issuer      bytea,
    CHECK ((issuer IS NULL) = (source = 'password'))
);
COMMENT ON TABLE session IS 'Who is signed in.';
COMMENT ON COLUMN session.source IS 'password: signed in here. skycms: sent by SkyCMS with a token.';
COMMENT ON COLUMN session.framed IS 'Shown in a frame of SkyCMS.';
COMMENT ON COLUMN session.theme IS 'How pages look; NULL: as the browser prefers.';
COMMENT ON COLUMN session.used_at IS 'To the minute. A session that has not been used for 12 hours is over.';
COMMENT ON COLUMN session.ends_at IS 'When it is over in any case.';
COMMENT ON COLUMN session.site_ids IS
    'Sites that SkyCMS''s token named. NULL: it named none, which means `default`. Whoever signed in with a password sees all.';
COMMENT ON COLUMN session.id IS 'Its name on the page that lists sessions.';
COMMENT ON COLUMN session.address IS 'Where it began.';
COMMENT ON COLUMN session.issuer IS
    'skycms: a hash of the secret that its token was signed with. A session ends with the secret that vouched for it.';
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

CREATE TABLE audit (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    who      text NOT NULL,
    source   text,
    what     text NOT NULL,
    detail   text,
    address  text NOT NULL,
    site_id  integer
);
COMMENT ON TABLE audit IS 'Who did what, when, from where. Ids are version 7, so their order is the order of events. No secrets.';
COMMENT ON COLUMN audit.source IS
    'What vouched for whoever did it, as in session.source: a name alone proves nothing, since SkyCMS sends any. NULL: nobody was signed in, or it was a command.';
COMMENT ON COLUMN audit.site_id IS 'The site it was about, which may be gone; NULL: none.';
