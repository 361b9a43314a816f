ALTER TABLE builds DROP COLUMN fetch_bytes;
