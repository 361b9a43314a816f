-- What the check of a whole set needs to know besides its artifacts.

-- What the target's workstations have from elsewhere: {"packages": [cpv…], "sonames": ["x86_64: libfoo.so.1"…]}.
ALTER TABLE targets ADD COLUMN provided jsonb NOT NULL DEFAULT '{}';

-- Portage's @system when the run was resolved: what packages may use without a dependency on it.
ALTER TABLE runs ADD COLUMN system text[] NOT NULL DEFAULT '{}';
