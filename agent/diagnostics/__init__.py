"""Logs for the CSMS: what goes into them, and how they get to where it wants them (part 2, N01)."""
