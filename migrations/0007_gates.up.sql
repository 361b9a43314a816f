-- The gate: what a generation must pass between prepared and promoting; and the build keys of packages.

CREATE TYPE gate_outcome AS ENUM ('passed', 'refused', 'failed', 'lost', 'outdated');

-- A gate is to a prepared generation what a resolution is to a run.
CREATE TABLE gates (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     bigint NOT NULL REFERENCES runs,
    number     integer NOT NULL CHECK (number > 0),
    drone_id   bigint NOT NULL REFERENCES drones,
    session_id bigint NOT NULL REFERENCES sessions,
    token      uuid NOT NULL,
    outcome    gate_outcome,
    reason     text,
    began_at   timestamptz NOT NULL DEFAULT swarm_now(),
    ended_at   timestamptz,
    UNIQUE (run_id, number),
    CHECK ((outcome IS NOT NULL) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX gates_one_live ON gates (run_id) WHERE outcome IS NULL;
CREATE INDEX gates_live_of_session ON gates (session_id) WHERE outcome IS NULL;

-- The TIMESTAMP of its index, which the gate's Portage must have read; known once it is prepared.
ALTER TABLE generations ADD COLUMN index_timestamp bigint;

ALTER TABLE runs
    -- The run whose shortcoming this one was begun to mend, by the swarm itself: once, not for ever.
    ADD COLUMN mends_id bigint REFERENCES runs,
    -- What shall be installable beside the world: what a gate found to be missing.
    ADD COLUMN wants text[] NOT NULL DEFAULT '{}',
    -- What Portage shall not take: quarantined packages whose older versions stay.
    ADD COLUMN mask text[] NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX runs_mended_once ON runs (mends_id);

-- What a package is built from, as the resolver hashed it; a posted plan has none.
ALTER TABLE packages ADD COLUMN build_key text CHECK (is_digest(build_key));
ALTER TABLE artifacts ADD COLUMN build_key text CHECK (is_digest(build_key));
