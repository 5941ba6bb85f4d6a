-- Several sites: which of them a session sees, which of them an audit entry is about, and removing one in small steps.

ALTER TABLE site ADD COLUMN removed_at timestamptz;
COMMENT ON COLUMN site.removed_at IS
    'When it was removed. Its name is free again then, its settings and secrets are erased, and its history is deleted in small steps. The row itself stays as long as history is kept, so that the hashes of its tokens tell a publisher «no such site», and its paths of the month still count for their access key.';

ALTER TABLE session ADD COLUMN site_ids integer[];
COMMENT ON COLUMN session.site_ids IS
    'Sites that SkyCMS''s token named. NULL: it named none, which means `default`. Who signed in with a password sees all.';

ALTER TABLE audit ADD COLUMN site_id integer;
COMMENT ON COLUMN audit.site_id IS 'The site it was about, which may be gone; NULL: none.';
