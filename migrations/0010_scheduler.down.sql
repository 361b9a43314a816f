ALTER TABLE drones DROP COLUMN speed, DROP COLUMN groundings, DROP COLUMN blamed_since;
ALTER TABLE runs DROP COLUMN blamed_since;
ALTER TABLE packages DROP COLUMN priority, DROP COLUMN memory_bytes, DROP COLUMN disk_bytes, DROP COLUMN ready_since;
