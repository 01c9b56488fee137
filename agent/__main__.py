"""`python -m agent` is the `station-agent` command."""

import sys

from agent.cli import main

sys.exit(main())
