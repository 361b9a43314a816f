-- A toolchain that moves (PORTAGE.md 7): what a base root with the toolchain of a run's plan has of it, where the plan moves
-- it, and what of it drones install in the base root of a definition.

ALTER TABLE runs ADD COLUMN toolchain text[] NOT NULL DEFAULT '{}';
-- The protocol's array of `Dependency`.
ALTER TABLE definitions ADD COLUMN toolchain jsonb NOT NULL DEFAULT '[]';
