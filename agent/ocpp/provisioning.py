"""Handlers of functional block B: SetVariables, GetVariables, GetBaseReport, GetReport, Reset."""

import logging
from collections.abc import Callable, Iterator

from agent.model import AttributeType, Mutability, Outcome, UnknownComponent, UnknownVariable, Variable
from agent.ocpp.handling import Context, Reply, address, check_size, status_info
from agent.ocpp.messages.base import GenericDeviceModelStatus, StatusInfoType
from agent.ocpp.messages.provisioning import (
    BootReason,
    GetBaseReportRequest,
    GetBaseReportResponse,
    GetReportRequest,
    GetReportResponse,
    GetVariableDataType,
    GetVariableResultType,
    GetVariablesRequest,
    GetVariablesResponse,
    GetVariableStatus,
    ResetRequest,
    ResetResponse,
    ResetStatus,
    ResetType,
    SetVariableDataType,
    SetVariableResultType,
    SetVariablesRequest,
    SetVariablesResponse,
    SetVariableStatus,
)
from agent.ocpp.reports import payloads, peek, select, select_base
from agent.ocpp.rpc import CallReceived
from agent.ocpp.variables import REPORTING_VALUE_SIZE

log = logging.getLogger(__name__)

SET_DEADLINE = 20.0
"""Seconds within which a SetVariables is answered, whatever its devices do: a CSMS gives up after 30 or so."""


async def set_variables(context: Context, call: CallReceived) -> Reply:
    """B05: one result per element, in order; elements that find no time any more are Rejected."""
    request = call.request
    assert isinstance(request, SetVariablesRequest)
    check_size(context, call, len(request.set_variable_data))
    clock = context.host.clock
    deadline = clock.monotonic() + SET_DEADLINE
    seen: set[object] = set()
    results = []
    for data in request.set_variable_data:
        # B05.FR.03, FR.12
        kind = data.attribute_type or AttributeType.ACTUAL
        outcome = await _set(context, data, kind, deadline - clock.monotonic(), seen)
        results.append(
            SetVariableResultType(
                attribute_status=SetVariableStatus(outcome.status),
                attribute_type=kind,
                component=data.component,
                variable=data.variable,
                attribute_status_info=status_info(outcome.code, outcome.info),
            )
        )
    return Reply(SetVariablesResponse(set_variable_result=tuple(results)))


async def _set(
    context: Context, data: SetVariableDataType, kind: AttributeType, seconds: float, seen: set[object]
) -> Outcome:
    component, name = address(data.component, data.variable)
    try:
        variable = context.host.model.find(component, name)
    except UnknownComponent:
        return Outcome(SetVariableStatus.UNKNOWN_COMPONENT)  # B05.FR.04
    except UnknownVariable:
        return Outcome(SetVariableStatus.UNKNOWN_VARIABLE)  # B05.FR.05
    if kind not in variable.attributes:
        return Outcome(SetVariableStatus.NOT_SUPPORTED_ATTRIBUTE_TYPE)  # B05.FR.06
    if (variable, kind) in seen:
        # B05.FR.13: the CSMS must not ask this; the first element stands.
        return Outcome(SetVariableStatus.REJECTED, "TooManyElements", "the same attribute twice in one request")
    seen.add((variable, kind))
    if seconds <= 0:
        return Outcome(SetVariableStatus.REJECTED, "InternalError", "no time left: another variable took too long")
    outcome = await context.host.set_attribute(variable, kind, data.attribute_value, seconds)
    # Its name, never its value: it may be a password (A01.FR.12).
    log.info("CSMS sets %s %s: %s %s %s", variable, kind, outcome.status, outcome.code, outcome.info)
    return outcome


async def get_variables(context: Context, call: CallReceived) -> Reply:
    """B06: one result per element, in order."""
    request = call.request
    assert isinstance(request, GetVariablesRequest)
    check_size(context, call, len(request.get_variable_data))
    results = tuple(_get(context, data) for data in request.get_variable_data)
    return Reply(GetVariablesResponse(get_variable_result=results))


def _get(context: Context, data: GetVariableDataType) -> GetVariableResultType:
    kind = data.attribute_type or AttributeType.ACTUAL  # B06.FR.03, FR.11
    status, value, code = _read(context, data, kind)
    return GetVariableResultType(
        attribute_status=status,
        attribute_type=kind,
        attribute_value=value,
        component=data.component,
        variable=data.variable,
        attribute_status_info=status_info(code),
    )


def _read(
    context: Context, data: GetVariableDataType, kind: AttributeType
) -> tuple[GetVariableStatus, str | None, str]:
    component, name = address(data.component, data.variable)
    try:
        variable = context.host.model.find(component, name)
    except UnknownComponent:
        return GetVariableStatus.UNKNOWN_COMPONENT, None, ""  # B06.FR.06
    except UnknownVariable:
        return GetVariableStatus.UNKNOWN_VARIABLE, None, ""  # B06.FR.07
    attribute = variable.attributes.get(kind)
    if attribute is None:
        return GetVariableStatus.NOT_SUPPORTED_ATTRIBUTE_TYPE, None, ""  # B06.FR.08
    if attribute.mutability is Mutability.WRITE_ONLY:
        return GetVariableStatus.REJECTED, None, "WriteOnly"  # B06.FR.09
    size = context.settings.integer(REPORTING_VALUE_SIZE)
    return GetVariableStatus.ACCEPTED, attribute.text()[:size], ""  # B06.FR.10, FR.13


async def get_base_report(context: Context, call: CallReceived) -> Reply:
    """B07: Accepted, and the report follows."""
    request = call.request
    assert isinstance(request, GetBaseReportRequest)
    variables = select_base(context.host.model, request.report_base)
    status, stream = _report(context, variables, request.request_id)
    return Reply(GetBaseReportResponse(status=status, status_info=_why(status)), _start(context, stream))


async def get_report(context: Context, call: CallReceived) -> Reply:
    """B08: Accepted, and the report follows."""
    request = call.request
    assert isinstance(request, GetReportRequest)
    check_size(context, call, len(request.component_variable or ()))
    variables = select(context.host.model, request.component_criteria, request.component_variable)
    status, stream = _report(context, variables, request.request_id)
    return Reply(GetReportResponse(status=status, status_info=_why(status)), _start(context, stream))


def _report(
    context: Context, variables: Iterator[Variable], request_id: int
) -> tuple[GenericDeviceModelStatus, Iterator[str] | None]:
    if context.reports.full:
        return GenericDeviceModelStatus.REJECTED, None  # B07.FR.13, B08.FR.16
    found = peek(variables)
    if found is None:
        return GenericDeviceModelStatus.EMPTY_RESULT_SET, None  # B08.FR.15
    value_size = context.settings.integer(REPORTING_VALUE_SIZE)
    return GenericDeviceModelStatus.ACCEPTED, payloads(found, request_id, context.host.clock.now(), value_size)


def _why(status: GenericDeviceModelStatus) -> StatusInfoType | None:
    rejected = status is GenericDeviceModelStatus.REJECTED
    return status_info("TooManyElements", "too many reports are under way; ask again later") if rejected else None


def _start(context: Context, stream: Iterator[str] | None) -> Callable[[], None] | None:
    """What begins the report, once the response is sent."""
    return None if stream is None else lambda: context.reports.add(stream)


async def reset(context: Context, call: CallReceived) -> Reply:
    """B11, B12. What charges no cars resets at once, and as a whole (B11.FR.09)."""
    request = call.request
    assert isinstance(request, ResetRequest)
    charging, evse = context.host.charging, request.evse_id
    if charging is None:
        if evse is not None:
            return _no_reset("UnsupportedParam", _WHOLE)
        then = context.host.request_reset
        return Reply(ResetResponse(status=ResetStatus.ACCEPTED), lambda: then(BootReason.REMOTE_RESET.value))
    if evse is not None and evse not in {state.evse for state in context.host.connectors()}:
        return _no_reset("UnknownEvse", "")
    # With a transaction OnIdle waits for its end, and Immediate ends it (B12).
    on_idle = request.type is ResetType.ON_IDLE
    status = ResetStatus(charging.may_reset(evse, on_idle))
    if status is ResetStatus.REJECTED:
        return _no_reset("", "") if evse is None else _no_reset("UnsupportedParam", _WHOLE)
    return Reply(ResetResponse(status=status), lambda: charging.reset(evse, on_idle))


_WHOLE = "a single EVSE cannot be reset (AllowReset)"


def _no_reset(code: str, why: str) -> Reply:
    return Reply(ResetResponse(status=ResetStatus.REJECTED, status_info=status_info(code, why)))
