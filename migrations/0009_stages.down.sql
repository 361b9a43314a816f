ALTER TABLE packages
    DROP CONSTRAINT packages_full_use,
    DROP COLUMN disabled;
