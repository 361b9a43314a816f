ALTER TABLE artifacts DROP COLUMN lost_at;
ALTER TABLE generations DROP COLUMN removed_at;
DROP INDEX runs_with_a_view;
ALTER TABLE runs DROP COLUMN view_dropped_at;
