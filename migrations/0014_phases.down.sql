ALTER TABLE attempt_usage DROP COLUMN phase_seconds;
