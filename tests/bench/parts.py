"""What the bench's tests steer it with: its HTTP control, and waiting for what must come."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

IDENTITY = "CS001"
PASSWORD = "a-password-of-20-chr"
SETTINGS = {"OCPPCommCtrlr.RetryBackOffWaitMinimum": "1", "OCPPCommCtrlr.RetryBackOffRandomRange": "1"}
PATIENCE = 40.0

T = TypeVar("T")


def request(url: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """(status, answer) of one request, whose body is JSON, or the bytes given."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Control:
    """The API of a bench that runs in this event loop."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await asyncio.to_thread(request, self.url + path, method, body)
        assert status == 200, answer
        return answer

    async def writes(self, since: int, device: str) -> list[dict[str, Any]]:
        entries = (await self("GET", f"/bench/log?since={since}"))["entries"]
        return [entry for entry in entries if entry["what"] == "write" and entry["device"] == device]

    async def position(self) -> int:
        return (await self("GET", "/bench/log?since=0"))["next"]


async def until(question: Callable[[], T | Awaitable[T]], what: str = "") -> T:
    """Ask until the answer is true; that answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = question()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer  # type: ignore[return-value]
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(0.05)
