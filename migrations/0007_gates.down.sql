ALTER TABLE artifacts DROP COLUMN build_key;
ALTER TABLE packages DROP COLUMN build_key;
DROP INDEX runs_mended_once;
ALTER TABLE runs DROP COLUMN mends_id, DROP COLUMN wants, DROP COLUMN mask;
ALTER TABLE generations DROP COLUMN index_timestamp;
DROP TABLE gates;
DROP TYPE gate_outcome;
