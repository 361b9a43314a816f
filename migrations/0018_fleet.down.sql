ALTER TABLE drone_pulse DROP COLUMN clock_ahead_seconds;
ALTER TABLE drones DROP COLUMN expected_program, DROP COLUMN expected_configuration;
ALTER TABLE sessions DROP COLUMN program, DROP COLUMN configuration;
ALTER TABLE join_tokens DROP COLUMN drone_name, DROP COLUMN ask, DROP COLUMN replaces;
ALTER TABLE drones DROP COLUMN host_key, DROP COLUMN awaits_approval;
DROP INDEX sessions_newest;
DROP TABLE repairs;
