-- What workstations push: definitions of targets (the configuration and the repositories that runs are resolved and
-- built under), and the workstations themselves.

CREATE TABLE definitions (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id     bigint NOT NULL REFERENCES targets,
    number        integer NOT NULL CHECK (number > 0),
    -- The workstation that it came from, which may be forgotten since.
    workstation   text NOT NULL,
    -- The protocol's `Bundle` and its array of `RepositorySource`.
    configuration jsonb NOT NULL,
    repositories  jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT swarm_now(),
    UNIQUE (target_id, number)
);

CREATE TABLE workstations (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id bigint NOT NULL REFERENCES targets,
    name      text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9.-]{0,62}$'),
    world     text[] NOT NULL,
    -- The protocol's `Provided`.
    provided  jsonb NOT NULL,
    -- The protocol's `Bundle`, of its installed packages.
    installed jsonb,
    pushed_at timestamptz NOT NULL DEFAULT swarm_now(),
    UNIQUE (target_id, name)
);

-- The target's newest definition when the run began. Without one, the drones' own configuration counts.
ALTER TABLE runs ADD COLUMN definition_id bigint REFERENCES definitions;
