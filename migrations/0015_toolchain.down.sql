ALTER TABLE definitions DROP COLUMN toolchain;
ALTER TABLE runs DROP COLUMN toolchain;
