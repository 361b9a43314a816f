-- The queue: targets, epochs, runs, packages, attempts, drones, artifacts, generations, events, logs, tokens.
--
-- Conventions. Every id is a bigint identity. States are enums whose order and spelling are those of
-- swarm-protocol's `state` module (a test compares them). Which moves between states are legal is said once, in the
-- orchestrator's `machine` modules; the tables `*_moves` hold the same pairs so that Postgres refuses the rest, and a
-- test compares the two. Every instant is taken from swarm_now(). Columns that change every few seconds live in the
-- `*_pulse` tables, which have no index on them, so that updates stay HOT and queue rows stay cold.

-- ---------------------------------------------------------------------------------------------------------------
-- The clock (law 5). Tests shift it; nothing else may call now().

CREATE TABLE clock_shift (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    shift interval NOT NULL DEFAULT '0'
);
INSERT INTO clock_shift DEFAULT VALUES;

CREATE FUNCTION swarm_now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT clock_timestamp() + shift FROM clock_shift';

-- ---------------------------------------------------------------------------------------------------------------
-- States.

CREATE TYPE package_state    AS ENUM ('needed', 'delegated', 'received', 'blocked', 'quarantined');
CREATE TYPE attempt_phase    AS ENUM ('held', 'building', 'accepting', 'ended');
CREATE TYPE attempt_outcome  AS ENUM ('received', 'failed', 'reclaimed', 'handed_back', 'stolen', 'lost', 'cancelled');
CREATE TYPE failure_class    AS ENUM ('infrastructure', 'resources', 'epoch', 'package');
CREATE TYPE run_state        AS ENUM ('resolving', 'building', 'frozen', 'validating', 'promoting', 'promoted',
                                      'failed', 'cancelled', 'superseded');
CREATE TYPE drone_state      AS ENUM ('online', 'offline', 'grounded', 'draining');
CREATE TYPE generation_state AS ENUM ('preparing', 'prepared', 'current', 'retired', 'refused');
CREATE TYPE token_role       AS ENUM ('admin', 'drone', 'viewer');
CREATE TYPE edge_kind        AS ENUM ('buildtime', 'runtime', 'runtime_post');

-- A BLAKE3 digest in lower-case hexadecimal.
CREATE FUNCTION is_digest(value text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
    $$ SELECT value ~ '^[0-9a-f]{64}$' $$;

-- ---------------------------------------------------------------------------------------------------------------
-- Targets, epochs, runs.

CREATE TABLE targets (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    created_at timestamptz NOT NULL DEFAULT swarm_now()
);

CREATE TABLE epochs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id  bigint NOT NULL REFERENCES targets,
    digest     text NOT NULL CHECK (is_digest(digest)),
    compat     text NOT NULL CHECK (is_digest(compat)),
    content    jsonb  NOT NULL,
    created_at timestamptz NOT NULL DEFAULT swarm_now(),
    UNIQUE (target_id, digest)
);

CREATE TABLE runs (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id      bigint NOT NULL REFERENCES targets,
    epoch_id       bigint NOT NULL REFERENCES epochs,
    predecessor_id bigint REFERENCES runs,
    state          run_state NOT NULL DEFAULT 'resolving',
    reason         text,
    created_at     timestamptz NOT NULL DEFAULT swarm_now(),
    ended_at       timestamptz,
    CHECK ((ended_at IS NOT NULL) = (state IN ('promoted', 'failed', 'cancelled', 'superseded')))
);
-- One open run per target.
CREATE UNIQUE INDEX runs_one_open ON runs (target_id)
    WHERE state IN ('resolving', 'building', 'frozen', 'validating', 'promoting');

-- ---------------------------------------------------------------------------------------------------------------
-- Drones, their sessions, their pulse.

CREATE TABLE drones (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                 text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9.-]{0,62}$'),
    machine_id           text NOT NULL,
    trusted              boolean NOT NULL DEFAULT false,
    state                drone_state NOT NULL DEFAULT 'offline',
    grounded_until       timestamptz,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    enrolled_at          timestamptz NOT NULL DEFAULT swarm_now(),
    CHECK ((grounded_until IS NOT NULL) = (state = 'grounded'))
);

CREATE TABLE sessions (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    drone_id     bigint NOT NULL REFERENCES drones,
    nonce        uuid NOT NULL UNIQUE,
    version      text NOT NULL,
    cores        integer NOT NULL CHECK (cores > 0),
    memory_bytes bigint NOT NULL CHECK (memory_bytes > 0),
    started_at   timestamptz NOT NULL DEFAULT swarm_now(),
    ended_at     timestamptz,
    -- When it was first heard after it had been replaced: two processes speak for one drone (law 6).
    contested_at timestamptz
);
-- One session per drone speaks for it (law 6).
CREATE UNIQUE INDEX sessions_one_open ON sessions (drone_id) WHERE ended_at IS NULL;

CREATE TABLE drone_pulse (
    drone_id          bigint PRIMARY KEY REFERENCES drones ON DELETE CASCADE,
    session_id        bigint NOT NULL,
    seen_at           timestamptz NOT NULL,
    memory_free_bytes bigint NOT NULL,
    disk_free_bytes   bigint NOT NULL,
    load              real   NOT NULL,
    -- It finishes what it has and stops.
    stopping          boolean NOT NULL
) WITH (fillfactor = 50);

-- ---------------------------------------------------------------------------------------------------------------
-- The queue.

CREATE TABLE packages (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id           bigint NOT NULL REFERENCES runs,
    cpv              text NOT NULL,
    -- 0 is the package itself; a cycle's earlier stages, with reduced USE, count upwards.
    stage            smallint NOT NULL DEFAULT 0 CHECK (stage >= 0),
    slot             text NOT NULL,
    repository       text NOT NULL,
    use_flags        text[] NOT NULL,
    -- Its position in the plan's topological order: the order in which closures are installed.
    position         integer NOT NULL,
    estimate_seconds double precision NOT NULL CHECK (estimate_seconds >= 0),
    rank             double precision NOT NULL,
    state            package_state NOT NULL DEFAULT 'needed',
    -- How many of its waits are not received, and how many of those are blocked or quarantined (law 3).
    unmet            integer NOT NULL CHECK (unmet >= 0),
    stuck            integer NOT NULL DEFAULT 0 CHECK (stuck >= 0),
    attempts         integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Attempts up to this number are forgiven: a person released the package after them.
    forgiven         integer NOT NULL DEFAULT 0,
    not_before       timestamptz,
    reason           text,
    -- What it received, in this run or in one that this run succeeds; references artifacts, which come below.
    artifact_id      bigint,
    UNIQUE (run_id, cpv, stage),
    CHECK ((state = 'received') = (artifact_id IS NOT NULL)),
    CHECK (stuck <= unmet),
    CHECK (state NOT IN ('delegated', 'received', 'quarantined') OR unmet = 0),
    CHECK ((state = 'blocked') = (stuck > 0))
) WITH (fillfactor = 80);

CREATE TABLE edges (
    package_id    bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    on_package_id bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    kinds         edge_kind[] NOT NULL CHECK (cardinality(kinds) > 0),
    PRIMARY KEY (package_id, on_package_id)
);

CREATE TABLE waits (
    package_id    bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    on_package_id bigint NOT NULL REFERENCES packages ON DELETE CASCADE,
    PRIMARY KEY (package_id, on_package_id),
    CHECK (package_id <> on_package_id)
);
CREATE INDEX waits_dependents ON waits (on_package_id, package_id);

-- BUILD_IDs are allocated per target and cpv, and never twice (law 9).
CREATE TABLE build_ids (
    target_id bigint NOT NULL REFERENCES targets,
    cpv       text NOT NULL,
    last      integer NOT NULL CHECK (last > 0),
    PRIMARY KEY (target_id, cpv)
);

CREATE TABLE attempts (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    package_id    bigint NOT NULL REFERENCES packages,
    number        integer NOT NULL CHECK (number > 0),
    drone_id      bigint NOT NULL REFERENCES drones,
    session_id    bigint NOT NULL REFERENCES sessions,
    -- The session's claim request that brought it, so that a repeated request gets the same answer.
    claim_request bigint NOT NULL,
    -- The attempt under which this build began, whose drone was away, came back and went on under this one (law 4).
    continues     bigint REFERENCES attempts,
    token         uuid NOT NULL,
    build_id      integer NOT NULL CHECK (build_id > 0),
    phase         attempt_phase NOT NULL DEFAULT 'held',
    outcome       attempt_outcome,
    class         failure_class,
    reason        text,
    excerpt       text,
    built         text CHECK (is_digest(built)),
    built_bytes   bigint,
    claimed_at    timestamptz NOT NULL DEFAULT swarm_now(),
    started_at    timestamptz,
    completed_at  timestamptz,
    ended_at      timestamptz,
    UNIQUE (package_id, number),
    CHECK ((phase = 'ended') = (outcome IS NOT NULL)),
    CHECK ((phase = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((outcome = 'failed') = (class IS NOT NULL)),
    CHECK (phase NOT IN ('building', 'accepting') OR started_at IS NOT NULL),
    CHECK (phase <> 'accepting' OR built IS NOT NULL),
    CHECK (outcome IS DISTINCT FROM 'received' OR built IS NOT NULL)
) WITH (fillfactor = 80);
-- One live attempt per package (law 2).
CREATE UNIQUE INDEX attempts_one_live ON attempts (package_id) WHERE phase <> 'ended';
CREATE INDEX attempts_live_of_session ON attempts (session_id) WHERE phase <> 'ended';
CREATE INDEX attempts_of_request ON attempts (session_id, claim_request);

CREATE TABLE attempt_pulse (
    attempt_id  bigint PRIMARY KEY REFERENCES attempts ON DELETE CASCADE,
    progress    bigint NOT NULL,
    -- When `progress` last grew.
    progress_at timestamptz NOT NULL,
    phase       text
) WITH (fillfactor = 50);

-- Why an attempt should be taken from its drone: 'silent', 'stalled', 'grounded'; null while there is no reason
-- (law 4). The leader's list and the check under the package's lock both ask here. Only time counts in which somebody
-- listened: from `since` to `as_of`, both read when the leader knew its clock to be right.
CREATE FUNCTION overdue(a attempts, grace interval, stall interval, since timestamptz, as_of timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN a.phase NOT IN ('held', 'building') THEN NULL
        WHEN a.phase = 'held' AND d.state = 'grounded' THEN 'grounded'
        WHEN GREATEST(a.claimed_at, p.seen_at, since) < as_of - grace
            THEN 'silent'
        WHEN a.phase = 'building' AND GREATEST(a.started_at, q.progress_at, since) < as_of - stall
            THEN 'stalled'
    END
    FROM drones d
    LEFT JOIN drone_pulse p ON p.drone_id = d.id
    LEFT JOIN attempt_pulse q ON q.attempt_id = a.id
    WHERE d.id = a.drone_id
$$;

-- ---------------------------------------------------------------------------------------------------------------
-- Artifacts and generations.

CREATE TABLE artifacts (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id    bigint NOT NULL REFERENCES targets,
    epoch_id     bigint NOT NULL REFERENCES epochs,
    attempt_id   bigint NOT NULL UNIQUE REFERENCES attempts,
    cpv          text NOT NULL,
    build_id     integer NOT NULL CHECK (build_id > 0),
    built        text NOT NULL CHECK (is_digest(built)),
    published    text NOT NULL CHECK (is_digest(published)),
    size         bigint NOT NULL CHECK (size > 0),
    path         text NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT swarm_now(),
    -- When a person withdrew it, with the drone that made it.
    withdrawn_at timestamptz,
    UNIQUE (target_id, cpv, build_id),
    UNIQUE (target_id, path)
);
ALTER TABLE packages ADD FOREIGN KEY (artifact_id) REFERENCES artifacts;

CREATE TABLE generations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id   bigint NOT NULL REFERENCES targets,
    run_id      bigint NOT NULL UNIQUE REFERENCES runs,
    number      bigint NOT NULL CHECK (number > 0),
    state       generation_state NOT NULL DEFAULT 'preparing',
    -- The generation that must be current when this one is promoted; none before the first.
    expects     bigint,
    created_at  timestamptz NOT NULL DEFAULT swarm_now(),
    promoted_at timestamptz,
    UNIQUE (target_id, number),
    CHECK (state NOT IN ('current', 'retired') OR promoted_at IS NOT NULL)
);
CREATE UNIQUE INDEX generations_one_current ON generations (target_id) WHERE state = 'current';

CREATE TABLE generation_artifacts (
    generation_id bigint NOT NULL REFERENCES generations ON DELETE CASCADE,
    artifact_id   bigint NOT NULL REFERENCES artifacts,
    PRIMARY KEY (generation_id, artifact_id)
);

-- ---------------------------------------------------------------------------------------------------------------
-- What happened, and what was printed.

CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The writing transaction: readers stop below the oldest one that still runs, so a late commit is never skipped.
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at         timestamptz NOT NULL DEFAULT swarm_now(),
    kind       text NOT NULL CHECK (kind ~ '^[a-z]+\.[a-z_]+$'),
    run_id     bigint,
    package_id bigint,
    attempt_id bigint,
    drone_id   bigint,
    data       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_cursor ON events (xid, id);
CREATE INDEX events_of_package ON events (package_id, id) WHERE package_id IS NOT NULL;

-- Compressed chunks of build logs, dropped by partition (one per day, made ahead by log_partition()).
CREATE TABLE log_chunks (
    attempt_id bigint NOT NULL,
    sequence   integer NOT NULL CHECK (sequence >= 0),
    -- The day on which the attempt was claimed: a repeated chunk meets its former copy in the same partition.
    day        date NOT NULL,
    zstd       bytea NOT NULL,
    PRIMARY KEY (attempt_id, sequence, day)
) PARTITION BY RANGE (day);

CREATE FUNCTION log_partition(wanted date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('log_chunks_' || to_char(wanted, 'YYYYMMDD')) IS NOT NULL THEN
        RETURN;
    END IF;
    -- IF NOT EXISTS: two orchestrators may come here at once.
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF log_chunks FOR VALUES FROM (%L) TO (%L)',
                   'log_chunks_' || to_char(wanted, 'YYYYMMDD'), wanted, wanted + 1);
END $$;

-- ---------------------------------------------------------------------------------------------------------------
-- Who may speak. Only BLAKE3 hashes of tokens are stored.

CREATE TABLE tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       text NOT NULL UNIQUE CHECK (is_digest(hash)),
    role       token_role NOT NULL,
    drone_id   bigint REFERENCES drones ON DELETE CASCADE,
    label      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT swarm_now(),
    revoked_at timestamptz,
    CHECK ((drone_id IS NOT NULL) = (role = 'drone'))
);

CREATE TABLE join_tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash       text NOT NULL UNIQUE CHECK (is_digest(hash)),
    trusted    boolean NOT NULL,
    expires_at timestamptz NOT NULL,
    used_by    bigint REFERENCES drones
);

-- ---------------------------------------------------------------------------------------------------------------
-- The machines' legal moves; Postgres refuses all others (law 3).

CREATE TABLE package_moves (before package_state, after package_state, PRIMARY KEY (before, after));
INSERT INTO package_moves VALUES
    ('needed', 'delegated'), ('needed', 'blocked'),
    ('delegated', 'needed'), ('delegated', 'received'), ('delegated', 'quarantined'),
    ('blocked', 'needed'),
    ('quarantined', 'needed');

CREATE TABLE attempt_moves (before attempt_phase, after attempt_phase, PRIMARY KEY (before, after));
INSERT INTO attempt_moves VALUES
    ('held', 'building'), ('held', 'ended'),
    ('building', 'accepting'), ('building', 'ended'),
    ('accepting', 'ended');

CREATE TABLE run_moves (before run_state, after run_state, PRIMARY KEY (before, after));
INSERT INTO run_moves VALUES
    ('resolving', 'building'), ('resolving', 'failed'), ('resolving', 'cancelled'), ('resolving', 'superseded'),
    ('building', 'frozen'), ('building', 'validating'), ('building', 'cancelled'), ('building', 'superseded'),
    ('frozen', 'building'), ('frozen', 'cancelled'), ('frozen', 'superseded'),
    ('validating', 'promoting'), ('validating', 'failed'),
    ('promoting', 'promoted'), ('promoting', 'failed');

CREATE TABLE drone_moves (before drone_state, after drone_state, PRIMARY KEY (before, after));
INSERT INTO drone_moves VALUES
    ('offline', 'online'), ('offline', 'draining'), ('offline', 'grounded'),
    ('online', 'offline'), ('online', 'grounded'), ('online', 'draining'),
    ('grounded', 'online'), ('grounded', 'draining'),
    ('draining', 'online');

CREATE FUNCTION check_package_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM package_moves WHERE before = OLD.state AND after = NEW.state) THEN
        RAISE EXCEPTION 'package % cannot move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_move BEFORE UPDATE OF state ON packages
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_package_move();

CREATE FUNCTION check_attempt_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.phase = 'ended' OR NOT EXISTS (SELECT FROM attempt_moves WHERE before = OLD.phase AND after = NEW.phase) THEN
        RAISE EXCEPTION 'attempt % cannot move from % to %', OLD.id, OLD.phase, NEW.phase
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_move BEFORE UPDATE OF phase ON attempts
    FOR EACH ROW WHEN (OLD.phase <> NEW.phase OR OLD.phase = 'ended') EXECUTE FUNCTION check_attempt_move();

CREATE FUNCTION check_run_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM run_moves WHERE before = OLD.state AND after = NEW.state) THEN
        RAISE EXCEPTION 'run % cannot move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_move BEFORE UPDATE OF state ON runs
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_run_move();

CREATE FUNCTION check_drone_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM drone_moves WHERE before = OLD.state AND after = NEW.state) THEN
        RAISE EXCEPTION 'drone % cannot move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_move BEFORE UPDATE OF state ON drones
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_drone_move();
