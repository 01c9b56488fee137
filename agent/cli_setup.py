"""`station-agent setup`: what is per unit (CSMS URL, identity, password, proxy) goes into the state directory."""

import getpass
import json
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.model import (
    AttributeType,
    Mutability,
    Refusal,
    UnknownComponent,
    UnknownVariable,
    Variable,
    check_value,
    parse_place,
)
from agent.model.address import is_identifier
from agent.ocpp.variables import BASIC_AUTH_PASSWORD, QUESTIONS, password_refusal
from agent.store import Store, StoreError

PASSWORD_PLACE = ".".join(BASIC_AUTH_PASSWORD[:2])

_KEYS = {"csms_url", "identity", "password", "proxy", "security_profile", "trust", "board", "set"}


class SetupError(Exception):
    """A setting that cannot be used; the message says what was expected."""


def check_settings(settings: dict[str, Any]) -> dict[str, str]:
    """The settings as they are stored. Raises SetupError naming the first that cannot be used."""
    unknown = sorted(set(settings) - _KEYS)
    if unknown:
        raise SetupError(f"{unknown[0]}: not a setting; expected {', '.join(sorted(_KEYS))}")
    url = str(settings.get("csms_url", ""))
    scheme = _scheme(url)
    if scheme not in ("ws", "wss"):
        raise SetupError(
            f"csms_url: found {url!r}, expected ws://HOST[:PORT][/PATH] or wss://…, without the identity"
        )
    identity = str(settings.get("identity", ""))
    if not is_identifier(identity) or len(identity) > 48 or ":" in identity:
        raise SetupError(f"identity: found {identity!r}, expected 1..48 letters, digits or *-_=+|@. (part 4 §3.1.1)")
    profile = settings.get("security_profile", 1)
    if profile not in (1, 2):
        raise SetupError(f"security_profile: found {profile!r}, expected 1 (Basic auth) or 2 (Basic auth over TLS)")
    if (profile == 2) != (scheme == "wss"):
        raise SetupError("security_profile: 1 goes with ws://, 2 with wss://")
    proxy = str(settings.get("proxy") or "")
    if proxy and _scheme(proxy) != "http":
        raise SetupError(f"proxy: found {proxy!r}, expected http://HOST:PORT")
    trust = str(settings.get("trust") or "")
    if trust:
        trust = str(Path(trust).resolve())
        try:
            ssl.create_default_context(cafile=trust)
        except OSError as error:
            expected = "expected a PEM file with the CSMS's root certificates"
            raise SetupError(f"trust: {trust}: {error.strerror or error}; {expected}") from None
    # All of them, "" for none: what an earlier setup stored does not outlast a later one.
    return {"csms_url": url, "identity": identity, "security_profile": str(profile), "proxy": proxy, "trust": trust}


def _scheme(url: str) -> str:
    """The scheme of a URL with a host and a port that can be used; "" for any other text."""
    try:
        parts = urlsplit(url)
        return parts.scheme if parts.hostname and parts.port != 0 else ""
    except ValueError:
        return ""


def check_password(password: Any) -> dict[tuple[str, str], str]:
    """What is stored for the password, where the CSMS may change it (A01); nothing for None. Raises SetupError."""
    if password is None:
        return {}
    refusal = password_refusal(str(password))
    if refusal is not None:
        raise SetupError(f"password: {refusal.info} (A00.FR.205)")
    return {(PASSWORD_PLACE, "Actual"): str(password)}


def check_overrides(board: str | None, overrides: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Actual values of a factory-fresh station: place → text. Raises SetupError for one that cannot be set."""
    if not isinstance(overrides, dict):
        raise SetupError("set: expected an object, place → value")
    if not overrides:
        return {}
    from agent.board import BoardError, load
    from agent.station import build_model

    if board is None:
        raise SetupError("set: needs the board whose variables are to be set")
    try:
        model = build_model(load(str(board))).model
    except BoardError as error:
        raise SetupError(str(error)) from None
    values: dict[tuple[str, str], str] = {}
    for place, value in overrides.items():
        text = _text(place, value)
        try:
            variable = model.find(*parse_place(place))
        except ValueError as error:
            raise SetupError(str(error)) from None
        except (UnknownComponent, UnknownVariable):
            raise SetupError(f"{place}: this board has no such variable; see: station-agent model {board}") from None
        if variable.actual.mutability is Mutability.READ_ONLY or not variable.actual.persistent:
            raise SetupError(f"{place}: read-only for the CSMS, so it cannot be set")
        answer = _answer(variable, text)
        if isinstance(answer, Refusal):
            raise SetupError(f"{place}: {answer.info}")
        values[str(variable), "Actual"] = text
    return values


def _text(place: str, value: Any) -> str:
    """`value` as the CSMS would send it; a JSON list becomes a comma separated one."""
    if isinstance(value, list):
        return ",".join(_text(place, item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise SetupError(f"{place}: found {json.dumps(value)}, expected a text, number, truth or list")
    return str(value)


def _answer(variable: Variable, text: str) -> object:
    """What the station would answer the CSMS: the value, or a Refusal."""
    answer = check_value(variable, AttributeType.ACTUAL, text)
    if isinstance(answer, Refusal):
        return answer
    path = (variable.component.name, variable.name.name, variable.name.instance)
    question = QUESTIONS.get(path)
    return answer if question is None else question(text) or answer


def setup(state_dir: Path, source: Path | None) -> int:
    """Ask for the settings, or read them from `source` (JSON; - for standard input), and store them."""
    try:
        settings = _ask() if source is None else _read(source)
        stored = check_settings(settings)
        values = check_password(settings.get("password"))
        values |= check_overrides(settings.get("board"), settings.get("set") or {})
        store = Store(state_dir)
    except (SetupError, StoreError) as error:
        print(f"station-agent: {error}", file=sys.stderr)
        return 2
    try:
        store.save_now(stored, values)
    except StoreError as error:
        print(f"station-agent: {error}", file=sys.stderr)
        return 1
    finally:
        store.close()
    print(f"{stored['identity']} at {stored['csms_url']}: stored in {state_dir}")
    return 0


def _read(source: Path) -> dict[str, Any]:
    try:
        settings = json.loads(sys.stdin.read() if str(source) == "-" else source.read_text())
    except (OSError, ValueError) as error:
        raise SetupError(f"{source}: {error}; expected a JSON object") from None
    if not isinstance(settings, dict):
        raise SetupError(f"{source}: expected a JSON object")
    return settings


def _ask() -> dict[str, Any]:
    if not sys.stdin.isatty():
        raise SetupError("no terminal to ask on; give a file: station-agent setup --from FILE.json")
    try:
        url = input("CSMS URL, without the identity (wss://csms.example.com/ocpp): ").strip()
        identity = input("Identity of this station: ").strip()
        proxy = input("HTTP proxy (empty for none): ").strip()
        password = getpass.getpass("Basic auth password, 16..40 characters: ")
    except EOFError:
        raise SetupError("the answers ended too early; nothing is stored") from None
    return {
        "csms_url": url,
        "identity": identity,
        "proxy": proxy,
        "password": password,
        "security_profile": 2 if url.startswith("wss:") else 1,
    }
