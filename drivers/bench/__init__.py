"""The bench: the other side of the station's wires, as a process of its own that the agent does not know of."""
