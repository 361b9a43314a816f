-- Builds that run out of memory: with how many halvings of the drone's parallel jobs they are tried.

ALTER TABLE packages ADD COLUMN halvings smallint NOT NULL DEFAULT 0 CHECK (halvings >= 0);
ALTER TABLE attempts ADD COLUMN halvings smallint NOT NULL DEFAULT 0 CHECK (halvings >= 0);
