"""What importing the Modbus driver costs."""

import subprocess
import sys


def test_the_driver_brings_no_server_with_it() -> None:
    code = (
        "import sys, drivers.modbus; print([m for m in sys.modules if m.startswith(('pymodbus.server', 'aiohttp'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
