"""Board files and device profiles: data only."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the packaged board files are; device profiles lie in its `profiles`."""
