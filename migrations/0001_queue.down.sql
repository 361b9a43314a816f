-- Undoes 0001_queue.up.sql: for tests of the migrations. Production goes forward only.

DROP FUNCTION overdue;
ALTER TABLE packages DROP COLUMN artifact_id;
DROP TABLE package_moves, attempt_moves, run_moves, drone_moves, join_tokens, tokens, log_chunks, events,
    generation_artifacts, generations, artifacts, attempt_pulse, attempts, build_ids, waits, edges, packages,
    drone_pulse, sessions, drones, runs, epochs, targets;
DROP FUNCTION check_package_move, check_attempt_move, check_run_move, check_drone_move, log_partition;
DROP TYPE package_state, attempt_phase, attempt_outcome, failure_class, run_state, drone_state, generation_state,
    token_role, edge_kind;
DROP FUNCTION swarm_now, is_digest;
DROP TABLE clock_shift;
