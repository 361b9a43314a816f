-- What attempts used on their drones, as the drones measured it.
CREATE TABLE attempt_usage (
    attempt_id        bigint PRIMARY KEY REFERENCES attempts ON DELETE CASCADE,
    -- The drone looked at the processes now and then; otherwise the kernel counted.
    sampled           boolean NOT NULL,
    user_seconds      double precision NOT NULL CHECK (user_seconds >= 0),
    system_seconds    double precision NOT NULL CHECK (system_seconds >= 0),
    peak_memory_bytes bigint NOT NULL CHECK (peak_memory_bytes >= 0),
    read_bytes        bigint NOT NULL CHECK (read_bytes >= 0),
    written_bytes     bigint NOT NULL CHECK (written_bytes >= 0),
    fetch_seconds     double precision NOT NULL CHECK (fetch_seconds >= 0),
    install_seconds   double precision NOT NULL CHECK (install_seconds >= 0),
    build_seconds     double precision NOT NULL CHECK (build_seconds >= 0)
);
