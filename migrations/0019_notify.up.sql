-- What people are told: alarms that stand, and how far each destination has been told.

-- One row is an alarm that was raised and is not over. It is written with the event, so that none is told twice.
CREATE TABLE alarms (
    kind      text NOT NULL,
    -- Which drone, run or target; empty where there is only one.
    about     text NOT NULL,
    text      text NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT swarm_now(),
    PRIMARY KEY (kind, about)
);

CREATE TABLE destinations (
    name         text PRIMARY KEY,
    -- It has been told whatever transactions below this one have written.
    told         xid8 NOT NULL,
    -- It is being told what transactions below this one have written. That stands here before it is sent, and stays until
    -- it has arrived: whatever is sent again is the same message.
    until        xid8 CHECK (until > told),
    delivered_at timestamptz,
    -- Sending it failed so often in a row, and is tried again then.
    failures     integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
    retry_at     timestamptz,
    error        text,
    -- So many events were given up since the last message.
    dropped      bigint NOT NULL DEFAULT 0 CHECK (dropped >= 0),
    CHECK ((failures > 0) = (retry_at IS NOT NULL)),
    CHECK ((failures > 0) = (error IS NOT NULL))
);
