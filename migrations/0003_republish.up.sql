-- Generations that no run made: the set of an earlier one, published again under a new number and TIMESTAMP (law 9).

ALTER TABLE generations
    ALTER COLUMN run_id DROP NOT NULL,
    -- The generation whose set this one is; one that a run made, so that there are no chains.
    ADD COLUMN republishes bigint,
    -- Why it was refused, where no run says so.
    ADD COLUMN reason text,
    ADD CONSTRAINT generations_one_origin CHECK ((run_id IS NULL) <> (republishes IS NULL)),
    ADD FOREIGN KEY (target_id, republishes) REFERENCES generations (target_id, number);

-- One at a time: each expects the generation that is current when it begins.
CREATE UNIQUE INDEX generations_one_republished ON generations (target_id)
    WHERE run_id IS NULL AND state IN ('preparing', 'prepared');
