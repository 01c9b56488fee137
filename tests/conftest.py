"""What every test may use."""

pytest_plugins = ["tests.requirements_plugin"]
