-- What earlier builds took, in a table of its own: estimates and speeds outlive the runs that they come from.

CREATE TABLE builds (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target_id    bigint NOT NULL REFERENCES targets,
    drone_id     bigint NOT NULL REFERENCES drones,
    cpv          text NOT NULL,
    -- Without the version: PMS 3.2 keeps names from ending like one.
    package      text NOT NULL GENERATED ALWAYS AS (regexp_replace(cpv, '-[0-9][^-]*(-r[0-9]+)?$', '')) STORED,
    seconds      double precision NOT NULL CHECK (seconds > 0),
    memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0),
    disk_bytes   bigint NOT NULL CHECK (disk_bytes >= 0),
    halvings     smallint NOT NULL CHECK (halvings >= 0)
);
CREATE INDEX builds_of_package ON builds (target_id, package, id);

INSERT INTO builds (target_id, drone_id, cpv, seconds, memory_bytes, disk_bytes, halvings)
SELECT f.target_id, a.drone_id, f.cpv,
       COALESCE(NULLIF(u.install_seconds + u.build_seconds, 0),
                extract(epoch FROM a.completed_at - COALESCE(o.started_at, a.started_at))::float8),
       COALESCE(u.peak_memory_bytes, 0), COALESCE(u.written_bytes, 0), a.halvings
FROM artifacts f JOIN attempts a ON a.id = f.attempt_id LEFT JOIN attempts o ON o.id = a.continues
     LEFT JOIN attempt_usage u ON u.attempt_id = a.id
WHERE a.completed_at > a.started_at
ORDER BY f.id;

-- When a run that is over was last looked through for packages that nobody needs any more.
ALTER TABLE runs ADD COLUMN pruned_at timestamptz;

-- What a deleted row is referenced by is looked up by these.
CREATE INDEX packages_of_artifact ON packages (artifact_id) WHERE artifact_id IS NOT NULL;
CREATE INDEX generation_artifacts_of_artifact ON generation_artifacts (artifact_id);
CREATE INDEX edges_dependents ON edges (on_package_id);
CREATE INDEX attempts_continued ON attempts (continues) WHERE continues IS NOT NULL;
