-- What was learned has no origin that the former schema knows.
DELETE FROM generations WHERE learned_at IS NOT NULL;
ALTER TABLE generations
    DROP CONSTRAINT generations_one_origin,
    DROP COLUMN learned_at,
    ADD CONSTRAINT generations_one_origin CHECK ((run_id IS NULL) <> (republishes IS NULL));
ALTER TABLE events ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
DROP FUNCTION swarm_horizon();
DROP FUNCTION swarm_xid();
DROP TABLE home;
DROP FUNCTION swarm_place();
