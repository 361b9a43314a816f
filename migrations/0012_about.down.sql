ALTER TABLE packages DROP COLUMN about;
