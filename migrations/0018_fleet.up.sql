-- What the swarm knows and does of its drones' machines: repairs, enrolment, drift.

-- One row is one step of the ladder (law 13). acted_at is written before anything is done: whoever finds it, and no
-- answer, knows that the step may have happened, and repeats nothing.
CREATE TABLE repairs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drone_id     bigint NOT NULL REFERENCES drones,
    step         text NOT NULL CHECK (step IN ('restart', 'reboot')),
    reason       text NOT NULL,
    -- It is only said what would be done.
    dry_run      boolean NOT NULL,
    begun_at     timestamptz NOT NULL DEFAULT swarm_now(),
    -- By a person; also empty where nobody has to.
    confirmed_at timestamptz,
    acted_at     timestamptz,
    -- When the node said that it was done, or that it failed.
    answered_at  timestamptz,
    detail       text,
    ended_at     timestamptz,
    outcome      text CHECK (outcome IN ('revived', 'failed', 'unknown', 'refused', 'unreachable', 'withdrawn',
                                         'unconfirmed')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK (answered_at IS NULL OR acted_at IS NOT NULL),
    CHECK (confirmed_at IS NULL OR step = 'reboot')
);
-- One at a time.
CREATE UNIQUE INDEX repairs_one_open ON repairs (drone_id) WHERE ended_at IS NULL;
-- The newest session of a drone says whether it said goodbye.
CREATE INDEX sessions_newest ON sessions (drone_id, id DESC);

-- Enrolment: the machine's ssh host key, where it has one, beside its id; and whether a person lets the drone in.
ALTER TABLE drones ADD COLUMN host_key text, ADD COLUMN awaits_approval boolean NOT NULL DEFAULT false;
-- For whom a join token is good, whether that one waits for a person, and whether another machine takes its place.
ALTER TABLE join_tokens
    ADD COLUMN drone_name text,
    ADD COLUMN ask boolean NOT NULL DEFAULT false,
    ADD COLUMN replaces boolean NOT NULL DEFAULT false,
    ADD CHECK (NOT replaces OR drone_name IS NOT NULL);

-- Drift: what runs, and what should.
ALTER TABLE sessions
    ADD COLUMN program text CHECK (is_digest(program)),
    ADD COLUMN configuration text CHECK (is_digest(configuration));
ALTER TABLE drones
    ADD COLUMN expected_program text CHECK (is_digest(expected_program)),
    ADD COLUMN expected_configuration text CHECK (is_digest(expected_configuration));
-- How far its machine's clock is ahead of Postgres's, at the last heartbeat that said so.
ALTER TABLE drone_pulse ADD COLUMN clock_ahead_seconds real;
