-- Resolving by drones: world sets, resolutions, runs whose epoch comes with their plan, and successors that resolve
-- while their predecessor still builds.

ALTER TABLE targets ADD COLUMN world text[] NOT NULL DEFAULT '{}';

ALTER TABLE runs
    ALTER COLUMN epoch_id DROP NOT NULL,
    -- The target's world set when the run began.
    ADD COLUMN world text[] NOT NULL DEFAULT '{}',
    -- What Portage refused or remarked: an array of the protocol's `Finding`.
    ADD COLUMN findings jsonb NOT NULL DEFAULT '[]',
    ADD CONSTRAINT runs_epoch_known
        CHECK (epoch_id IS NOT NULL OR state IN ('resolving', 'failed', 'cancelled', 'superseded'));

-- One run per target that may touch the queue and the generations, and beside it one that is being resolved: it takes
-- the other's place when its plan is there, so a resolve that fails leaves the queue as it was.
DROP INDEX runs_one_open;
CREATE UNIQUE INDEX runs_one_open ON runs (target_id)
    WHERE state IN ('building', 'frozen', 'validating', 'promoting');
CREATE UNIQUE INDEX runs_one_resolving ON runs (target_id) WHERE state = 'resolving';

-- A run may come out as what is current already.
INSERT INTO run_moves VALUES ('building', 'promoted');

CREATE TYPE resolution_outcome AS ENUM ('planned', 'refused', 'failed', 'lost', 'outdated');

-- A resolution is to a run what an attempt is to a package.
CREATE TABLE resolutions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     bigint NOT NULL REFERENCES runs,
    number     integer NOT NULL CHECK (number > 0),
    drone_id   bigint NOT NULL REFERENCES drones,
    session_id bigint NOT NULL REFERENCES sessions,
    epoch_id   bigint NOT NULL REFERENCES epochs,
    token      uuid NOT NULL,
    -- The generation whose binaries were offered; a plan against any other one is outdated.
    generation bigint,
    outcome    resolution_outcome,
    reason     text,
    began_at   timestamptz NOT NULL DEFAULT swarm_now(),
    ended_at   timestamptz,
    UNIQUE (run_id, number),
    CHECK ((outcome IS NOT NULL) = (ended_at IS NOT NULL))
);
CREATE UNIQUE INDEX resolutions_one_live ON resolutions (run_id) WHERE outcome IS NULL;
CREATE INDEX resolutions_live_of_session ON resolutions (session_id) WHERE outcome IS NULL;
