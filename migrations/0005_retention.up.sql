-- What the binhost no longer keeps: views of runs that are over, generations beyond its retention, lost bytes.

ALTER TABLE runs
    -- When the binhost dropped its staging view. A run that is over and needed by nobody, and has none, is the intent.
    ADD COLUMN view_dropped_at timestamptz;
CREATE INDEX runs_with_a_view ON runs (target_id) WHERE view_dropped_at IS NULL;

ALTER TABLE generations
    -- When we learnt that the binhost keeps it no longer.
    ADD COLUMN removed_at timestamptz;

ALTER TABLE artifacts
    -- When we learnt that the binhost has lost its bytes. It can no longer be kept, and is built again.
    ADD COLUMN lost_at timestamptz;
