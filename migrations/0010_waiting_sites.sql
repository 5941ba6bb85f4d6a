-- The sites with publishes that no invalidation covers yet, found by a step through the index for each of them: asked of
-- every site there is, the question took longer the more sites there are. PostgreSQL cannot know how few they are.
CREATE VIEW waiting_site AS
WITH RECURSIVE step AS (
  (SELECT site_id FROM publish WHERE NOT planned AND ended_at IS NULL ORDER BY site_id LIMIT 1)
  UNION ALL
  SELECT (SELECT p.site_id FROM publish p
          WHERE p.site_id > step.site_id AND NOT p.planned AND p.ended_at IS NULL ORDER BY p.site_id LIMIT 1)
  FROM step WHERE step.site_id IS NOT NULL)
SELECT site_id FROM step WHERE site_id IS NOT NULL;
