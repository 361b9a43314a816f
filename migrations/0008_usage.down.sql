DROP TABLE attempt_usage;
