"""Why this process started, and which start of the computer it belongs to."""

from collections.abc import Mapping
from pathlib import Path


def boot_id() -> str:
    """What tells this start of the computer from every other, "" where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def boot_reason(settings: Mapping[str, str], computer: str) -> str:
    """BootReasonEnumType for this start: what the last process left, and whether the computer restarted since."""
    if settings.get("next_boot_reason"):
        return settings["next_boot_reason"]
    if settings.get("boot_id", "") != computer or not computer:
        return "PowerUp"
    # The same start of the computer: either the service was stopped in an orderly way, or the process died.
    return "LocalReset" if settings.get("stopped") == "1" else "ApplicationReset"
