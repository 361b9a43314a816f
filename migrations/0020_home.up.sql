-- Where the database is. A dump that is restored somewhere goes on from the past, while drones, the binhost and whoever reads
-- events have seen what came after it: the orchestrator notices that at its start by this row, and gives nothing twice.

-- The cluster, its timeline (another one after a recovery in time, or when a replica took over), and the database in it.
CREATE FUNCTION swarm_place() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid)
    FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d WHERE d.datname = current_database()
$$;

CREATE TABLE home (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- What swarm_place() said when the orchestrator started last. Null: not known, so that it may be a restored dump.
    place          text,
    -- What is added to the cluster's transaction ids, so that those of events never go back.
    xid_shift      bigint NOT NULL DEFAULT 0 CHECK (xid_shift >= 0),
    -- BUILD_IDs up to this one may have been given by a database that was lost.
    build_id_floor integer NOT NULL DEFAULT 0 CHECK (build_id_floor >= 0)
);
INSERT INTO home (place) SELECT CASE WHEN NOT EXISTS (SELECT FROM targets) THEN swarm_place() END;

-- The transaction, as events and their readers know it.
CREATE FUNCTION swarm_xid() RETURNS xid8 LANGUAGE sql STABLE AS
    'SELECT (pg_current_xact_id()::text::bigint + xid_shift)::text::xid8 FROM home';
ALTER TABLE events ALTER COLUMN xid SET DEFAULT swarm_xid();

-- The oldest transaction that still runs: what those before it have written can be read.
CREATE FUNCTION swarm_horizon() RETURNS xid8 LANGUAGE sql STABLE AS
    'SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xid_shift)::text::xid8 FROM home';

-- A generation that the binhost has and this database does not know from its own making: when its number was learned.
-- What it contains is not known here.
ALTER TABLE generations
    ADD COLUMN learned_at timestamptz,
    DROP CONSTRAINT generations_one_origin,
    ADD CONSTRAINT generations_one_origin CHECK (num_nonnulls(run_id, republishes, learned_at) = 1);
