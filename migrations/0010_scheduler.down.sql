ALTER TABLE drones DROP COLUMN speed;
ALTER TABLE packages DROP COLUMN priority, DROP COLUMN memory_bytes, DROP COLUMN disk_bytes, DROP COLUMN ready_since;
