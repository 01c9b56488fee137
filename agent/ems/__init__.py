"""The interfaces on which external control systems impose limits: a Modbus server, MQTT, potential-free contacts."""
