"""The whole bench: the world, the far ends of the wires, the network, and the agent under test as a child."""

import asyncio
import contextlib
import json
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.board import BoardError, load
from drivers.bench.api import Api
from drivers.bench.child import AgentChild, command, die_with_parent, environment
from drivers.bench.http import ControlServer
from drivers.bench.proxy import Proxy
from drivers.bench.refusals import CannotStart, InTheWay
from drivers.bench.rig import Rig, check_wires

if TYPE_CHECKING:
    from drivers.bench.csms import Csms

REMEMBERED = "bench.json"
"""In the state directory: what the station was set up with, for the next bench that runs it."""

_SETUP_TIMEOUT = 60.0


class Bench:
    """One station on the bench. In the process that makes it: the world, the wires, the network, the control.

    Start and stop it in one event loop; between them `control_url` is the API, `world` the world, `agent` the child,
    and `csms` the bench's own CSMS, where `csms_url` was left out.
    """

    def __init__(
        self,
        board: str,
        *,
        csms_url: str | None = None,
        identity: str = "BENCH001",
        state_dir: Path | None = None,
        control: tuple[str, int] = ("127.0.0.1", 0),
        security_profile: int = 1,
        password: str | None = None,
        trust: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        agent_log: Path | None = None,
    ) -> None:
        """Raises `CannotStart` for a board with mistakes or unknown wires, or a control address that is not loopback.

        `overrides` are Actual values of a factory-fresh station, by `Component….Variable[instance]`. The agent's log
        goes to the file `agent_log`, else to standard error. Without `state_dir` the station's memory ends with it.
        """
        try:
            loaded = load(board)
        except BoardError as error:
            raise CannotStart(str(error)) from error
        check_wires(loaded)
        self.board_name = board
        self.identity = identity
        self._csms_url, self._profile, self._trust = csms_url, security_profile, trust
        self._overrides = dict(overrides or {})
        self._control = ControlServer(Api(self).handle, *control)
        self._folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.state_dir = state_dir if state_dir is not None else self._folder / "state"
        self._fresh = not (self.state_dir / "station.db").exists()
        self._remembered = {} if self._fresh else _remembered(self.state_dir)
        self.password = password or str(self._remembered.get("password") or secrets.token_hex(10))
        self.rig = Rig(loaded, self._folder)
        self.world = self.rig.world
        self.proxy = Proxy(int(self._remembered.get("proxy", 0)))
        self.csms: Csms | None = None
        self._overlay = self._folder / "overlay.json"
        arguments = ["run", board, "--state-dir", str(self.state_dir), "--overlay", str(self._overlay)]
        self.agent = AgentChild(arguments, self._folder, agent_log)
        self._close = contextlib.AsyncExitStack()
        self._turn = asyncio.Lock()

    @property
    def control_url(self) -> str:
        """Where the API is."""
        return self._control.url

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the wires, set a factory-fresh station up, and switch the power on. Raises `CannotStart`."""
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, self._folder, ignore_errors=True)
            undo.push_async_callback(self.rig.stop)
            await self.rig.start()
            self.world.powered = False
            await self._open_network(undo)
            self.agent.open()
            undo.callback(self.agent.close)
            await self._control.start()
            undo.push_async_callback(self._control.close)
            undo.push_async_callback(self.agent.stop)
            await self._switch_on()
            self._close = undo.pop_all()

    async def stop(self) -> None:
        """Stop the station in an orderly way, and take the bench down."""
        await self._close.aclose()

    async def until_ready(self, seconds: float = 30.0) -> None:
        """Wait until the agent says that it is up. Raises `CannotStart` when it ends before, or says nothing."""
        try:
            async with asyncio.timeout(seconds):
                while not self.agent.ready.is_set():
                    if self.agent.exit_codes and self.world.powered:
                        raise CannotStart(f"the agent ended with exit code {self.agent.exit_codes[-1]}; see its log")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise CannotStart(f"the agent was not ready after {seconds:g} s; see its log") from None

    async def _open_network(self, undo: contextlib.AsyncExitStack) -> None:
        before = dict(self._remembered)
        try:
            await self.proxy.start()
        except OSError:
            self.proxy.port = 0  # taken by somebody else meanwhile: the station is told the new one
            await self.proxy.start()
        undo.push_async_callback(self.proxy.close)
        now: dict[str, Any] = {"proxy": self.proxy.port, "password": self.password}
        url = self._csms_url
        if url is None:
            from drivers.bench.csms import Csms

            self.csms = Csms(self.password)
            await self.csms.start(int(self._remembered.get("csms", 0)))
            undo.push_async_callback(self.csms.stop)
            now["csms"] = self.csms.port
            url = self.csms.url
        now |= {"csms_url": url, "identity": self.identity, "security_profile": self._profile}
        if self._fresh or now != before:
            await self._set_up(url)
            self._fresh = False
            file = self.state_dir / REMEMBERED
            file.touch(mode=0o600)
            file.write_text(json.dumps(now))

    async def _set_up(self, url: str) -> None:
        """What an installer does. Passwords go by a file, which only this user can read, and not by an argument."""
        settings: dict[str, Any] = {
            "csms_url": url,
            "identity": self.identity,
            "proxy": self.proxy.url,
            "security_profile": self._profile,
            "board": self.board_name,
        }
        if self._fresh:
            settings |= {"password": self.password, "set": self._overrides}
        if self._trust is not None:
            settings["trust"] = str(self._trust)
        source = self._folder / "setup.json"
        source.touch(mode=0o600)
        source.write_text(json.dumps(settings))
        process = await asyncio.create_subprocess_exec(
            *command("setup", "--state-dir", str(self.state_dir), "--from", str(source)),
            env=environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            async with asyncio.timeout(_SETUP_TIMEOUT):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise CannotStart(f"setting the station up took longer than {_SETUP_TIMEOUT:g} s") from None
        finally:
            source.unlink()
        if process.returncode:
            raise CannotStart(said.decode(errors="replace").strip() or "the station could not be set up")

    async def _switch_on(self) -> None:
        # A new start of the station's computer: the agent tells it from its own by this.
        overlay = {**self.rig.overlay, "boot_id": str(uuid.uuid4())}
        self._overlay.write_text(json.dumps(overlay))
        self.world.switch_on()
        self.world.log.add("power", state="on")
        await self.agent.start()

    # --- what the API asks for -------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """The whole world, in the form of `GET /bench`."""
        self.rig.ems.refresh()
        world = self.world.snapshot()
        return {
            "power": world.pop("power"),
            "network": self.proxy.state,
            "time": world.pop("time"),
            "agent": {"pid": self.agent.pid},
            "evse": world["evse"],
            "device": world["device"],
            "ems": self.rig.ems.state(),
            "grid": world["grid"],
        }

    async def set_power(self, state: str) -> dict[str, Any]:
        """`off`, `on` or `cycle`; returns as soon as the agent's process is gone, or started."""
        async with self._turn:
            if state in ("off", "cycle") and self.world.powered:
                await self.agent.cut()
                self.world.cut_power()
                self.world.log.add("power", state="off")
            if state in ("on", "cycle") and not self.world.powered:
                await self._switch_on()
        return {"power": "on" if self.world.powered else "off", "agent": {"pid": self.agent.pid}}

    async def set_agent(self, state: str) -> dict[str, Any]:
        """`kill` or `hang`; the bench starts it again as systemd would. Raises `InTheWay` where none runs."""
        if self.agent.pid is None:
            raise InTheWay("no agent is running: the power is off, or it is being started again")
        if state == "kill":
            await self.agent.kill()
        else:
            self.agent.hang()
        return {"agent": {"pid": self.agent.pid}}

    async def set_network(self, state: str) -> dict[str, Any]:
        """`up`, `down` or `blackhole`."""
        await self.proxy.set_state(state)
        self.world.log.add("network", state=state)
        return {"network": self.proxy.state}


def _remembered(state_dir: Path) -> dict[str, Any]:
    try:
        remembered = json.loads((state_dir / REMEMBERED).read_text())
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}
