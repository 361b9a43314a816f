DROP TABLE destinations;
DROP TABLE alarms;
