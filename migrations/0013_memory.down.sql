ALTER TABLE attempts DROP COLUMN halvings;
ALTER TABLE packages DROP COLUMN halvings;
