-- What a person wants to know of a planned package: keywords, licence, size of its sources, who wants it, why it is built.

-- The protocol's `About`; a posted plan may have none.
ALTER TABLE packages ADD COLUMN about jsonb;
