"""The demo: bench, station and CSMS in one, and the story that is told with them."""
