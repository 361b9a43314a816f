-- Generations without a run have no place in the former schema: they are given up.
DELETE FROM generations WHERE run_id IS NULL;
DROP INDEX generations_one_republished;
ALTER TABLE generations
    DROP COLUMN reason,
    DROP COLUMN republishes,
    ALTER COLUMN run_id SET NOT NULL;
