-- Early stages of packages that wait for each other: with which flags off each is built.

ALTER TABLE packages
    ADD COLUMN disabled text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT packages_full_use CHECK (stage = 1 OR disabled = '{}');
