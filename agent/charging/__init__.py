"""Charging limits: profiles, external limits, and how all of them become one current at each plug. Pure."""
