-- What the scheduler goes by.

ALTER TABLE packages
    -- A person's wish: higher goes first.
    ADD COLUMN priority     smallint NOT NULL DEFAULT 0,
    -- What a build takes, as far as known from earlier ones; 0 is unknown.
    ADD COLUMN memory_bytes bigint NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0),
    ADD COLUMN disk_bytes   bigint NOT NULL DEFAULT 0 CHECK (disk_bytes >= 0),
    -- Since when it is needed with nothing unmet; of other packages, when they last were.
    ADD COLUMN ready_since  timestamptz NOT NULL DEFAULT swarm_now();

-- Failures before this speak against nobody any more: a person, or a pause, came after them.
ALTER TABLE runs ADD COLUMN blamed_since timestamptz NOT NULL DEFAULT swarm_now();
ALTER TABLE drones ADD COLUMN blamed_since timestamptz NOT NULL DEFAULT swarm_now();

-- How often a drone was grounded for failing since it built something: while it is more than 0, it is on probation.
ALTER TABLE drones ADD COLUMN groundings integer NOT NULL DEFAULT 0 CHECK (groundings >= 0);

-- How much faster a drone builds than one of speed 1, measured; 1 until there is something to compare.
ALTER TABLE drones ADD COLUMN speed double precision NOT NULL DEFAULT 1 CHECK (speed > 0);
