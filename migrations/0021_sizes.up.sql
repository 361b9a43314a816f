-- How large a build's source archives were: a package that was never built takes about as long as others of its size.

-- Unknown of older builds, and of plans that do not say it.
ALTER TABLE builds ADD COLUMN fetch_bytes bigint CHECK (fetch_bytes >= 0);
