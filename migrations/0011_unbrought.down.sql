DROP TABLE unbrought_definitions;
