-- Runs without an epoch, and kept packages' runs, have no place in the former schema: they are given up.
DROP TABLE resolutions;
DROP TYPE resolution_outcome;
DELETE FROM run_moves WHERE (before, after) = ('building', 'promoted');
DROP INDEX runs_one_resolving;
DELETE FROM runs WHERE epoch_id IS NULL;
UPDATE runs r SET state = 'superseded', ended_at = swarm_now() WHERE state = 'resolving'
    AND EXISTS (SELECT FROM runs o WHERE o.target_id = r.target_id
                AND o.state IN ('building', 'frozen', 'validating', 'promoting'));
DROP INDEX runs_one_open;
CREATE UNIQUE INDEX runs_one_open ON runs (target_id)
    WHERE state IN ('resolving', 'building', 'frozen', 'validating', 'promoting');
ALTER TABLE runs
    DROP CONSTRAINT runs_epoch_known,
    DROP COLUMN findings,
    DROP COLUMN world,
    ALTER COLUMN epoch_id SET NOT NULL;
ALTER TABLE targets DROP COLUMN world;
