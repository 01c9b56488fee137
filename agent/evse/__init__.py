"""EVSEs and connectors: what state each is in, and why."""
