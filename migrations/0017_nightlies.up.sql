-- Nightly updates: each says that it has begun before it does anything, so that one that does not come is noticed.

CREATE TABLE nightlies (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id      bigint NOT NULL REFERENCES targets,
    -- Where it runs, for people.
    host           text NOT NULL CHECK (length(host) BETWEEN 1 AND 255),
    -- How long after its begin the next one is due.
    period_seconds integer NOT NULL CHECK (period_seconds > 0),
    started_at     timestamptz NOT NULL DEFAULT swarm_now(),
    ended_at       timestamptz,
    result         text CHECK (result IN ('succeeded', 'failed', 'vanished')),
    reason         text,
    run_id         bigint REFERENCES runs,
    CHECK ((ended_at IS NULL) = (result IS NULL))
);
CREATE UNIQUE INDEX nightlies_open ON nightlies (target_id) WHERE ended_at IS NULL;
CREATE INDEX nightlies_newest ON nightlies (target_id, id DESC);

-- When the next one has to have begun; none where none is expected.
ALTER TABLE targets ADD COLUMN nightly_due_at timestamptz;
