"""OCPP 2.0.1 over WebSockets: messages, framing and the functional blocks."""
