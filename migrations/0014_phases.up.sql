-- How long the phases of the ebuild took: unpack, prepare, configure, compile, test, install, package.
ALTER TABLE attempt_usage ADD COLUMN phase_seconds double precision[] NOT NULL DEFAULT '{}'
    CHECK (0 <= ALL (phase_seconds));
