ALTER TABLE runs DROP COLUMN definition_id;
DROP TABLE workstations;
DROP TABLE definitions;
