-- Definitions that a drone cannot bring itself to, as it said last: all that it said, and nothing else.

CREATE TABLE unbrought_definitions (
    drone_id      bigint NOT NULL REFERENCES drones,
    definition_id bigint NOT NULL REFERENCES definitions,
    reason        text NOT NULL,
    since         timestamptz NOT NULL DEFAULT swarm_now(),
    PRIMARY KEY (drone_id, definition_id)
);
