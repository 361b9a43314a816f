ALTER TABLE targets DROP COLUMN nightly_due_at;
DROP TABLE nightlies;
