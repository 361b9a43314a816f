DROP INDEX attempts_continued;
DROP INDEX edges_dependents;
DROP INDEX generation_artifacts_of_artifact;
DROP INDEX packages_of_artifact;
ALTER TABLE runs DROP COLUMN pruned_at;
DROP TABLE builds;
