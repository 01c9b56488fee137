"""Handlers of functional block N for monitors: set, cleared, reported, and which of them count (N02 to N06)."""

import logging

from agent.monitoring import MonitorRequest, SetResult
from agent.monitoring.places import Place
from agent.ocpp.handling import CallRefused, Context, Reply, address, check_size, status_info
from agent.ocpp.host_monitoring import Monitoring, monitoring_of
from agent.ocpp.messages.base import GenericDeviceModelStatus, VariableType
from agent.ocpp.messages.monitoring import (
    ClearMonitoringResultType,
    ClearMonitoringStatus,
    ClearVariableMonitoringRequest,
    ClearVariableMonitoringResponse,
    GenericStatus,
    GetMonitoringReportRequest,
    GetMonitoringReportResponse,
    SetMonitoringBaseRequest,
    SetMonitoringBaseResponse,
    SetMonitoringDataType,
    SetMonitoringLevelRequest,
    SetMonitoringLevelResponse,
    SetMonitoringResultType,
    SetMonitoringStatus,
    SetVariableMonitoringRequest,
    SetVariableMonitoringResponse,
)
from agent.ocpp.messages.provisioning import ComponentVariableType
from agent.ocpp.monitoring_reports import payloads
from agent.ocpp.reports import peek
from agent.ocpp.rpc import CallReceived, ErrorCode
from agent.store import StoreError

log = logging.getLogger(__name__)

_WHY = {
    ClearMonitoringStatus.REJECTED: status_info("ReadOnly", "a hard-wired monitor, or the disk cannot be written"),
    ClearMonitoringStatus.NOT_FOUND: None,
    ClearMonitoringStatus.ACCEPTED: None,
}


def _monitoring(context: Context) -> Monitoring:
    found = monitoring_of(context.host)
    if found is None:
        raise CallRefused(ErrorCode.NOT_SUPPORTED, "there are no monitors")
    return found


# --- N02 -----------------------------------------------------------------------------------------------------------


async def get_monitoring_report(context: Context, call: CallReceived) -> Reply:
    """N02: Accepted, and the report follows."""
    request = call.request
    assert isinstance(request, GetMonitoringReportRequest)
    check_size(context, call, len(request.component_variable or ()))
    monitoring = monitoring_of(context.host)
    if monitoring is None:
        return _no_report(GenericDeviceModelStatus.NOT_SUPPORTED)
    if context.reports.full:
        return _no_report(GenericDeviceModelStatus.REJECTED, "TooManyElements", "too many reports are under way")
    criteria = frozenset(one.value for one in request.monitoring_criteria or ())
    found = peek(monitoring.report(criteria, [_place(one) for one in request.component_variable or ()]))
    if found is None:
        return _no_report(GenericDeviceModelStatus.EMPTY_RESULT_SET)  # N02.FR.10
    stream = payloads(found, request.request_id, context.host.clock.now())
    return Reply(
        GetMonitoringReportResponse(status=GenericDeviceModelStatus.ACCEPTED),
        lambda: context.reports.add(stream, "NotifyMonitoringReport"),
    )


def _no_report(status: GenericDeviceModelStatus, code: str = "", info: str = "") -> Reply:
    return Reply(GetMonitoringReportResponse(status=status, status_info=status_info(code, info)))


def _place(one: ComponentVariableType) -> Place:
    component, name = address(one.component, one.variable or VariableType(name=""))
    return component, name if one.variable else None


# --- N03, N05 ------------------------------------------------------------------------------------------------------


async def set_monitoring_base(context: Context, call: CallReceived) -> Reply:
    """N03."""
    request = call.request
    assert isinstance(request, SetMonitoringBaseRequest)
    monitoring = monitoring_of(context.host)
    info = None
    try:
        found = monitoring is not None and await monitoring.set_base(request.monitoring_base.value)
        # N03.FR.01, FR.02
        status = GenericDeviceModelStatus.ACCEPTED if found else GenericDeviceModelStatus.NOT_SUPPORTED
    except StoreError as error:
        status, info = GenericDeviceModelStatus.REJECTED, status_info("InternalError", str(error))
    log.info("CSMS sets the monitoring base %s: %s", request.monitoring_base, status)
    return Reply(SetMonitoringBaseResponse(status=status, status_info=info))


async def set_monitoring_level(context: Context, call: CallReceived) -> Reply:
    """N05."""
    request = call.request
    assert isinstance(request, SetMonitoringLevelRequest)
    status, info = GenericStatus.ACCEPTED, None
    try:
        if not await _monitoring(context).set_level(request.severity):  # N05.FR.02
            status, info = GenericStatus.REJECTED, status_info("ValueOutOfRange", "severity is 0 to 9")
    except StoreError as error:
        status, info = GenericStatus.REJECTED, status_info("InternalError", str(error))
    log.info("CSMS sets the monitoring level %s: %s", request.severity, status)
    return Reply(SetMonitoringLevelResponse(status=status, status_info=info))


# --- N04, N06 ------------------------------------------------------------------------------------------------------


async def set_variable_monitoring(context: Context, call: CallReceived) -> Reply:
    """N04: one result per element, in order."""
    request = call.request
    assert isinstance(request, SetVariableMonitoringRequest)
    monitoring = _monitoring(context)
    check_size(context, call, len(request.set_monitoring_data))
    results = await monitoring.set([_request(data) for data in request.set_monitoring_data])
    pairs = zip(request.set_monitoring_data, results, strict=True)
    return Reply(SetVariableMonitoringResponse(set_monitoring_result=tuple(_result(*pair) for pair in pairs)))


def _request(data: SetMonitoringDataType) -> MonitorRequest:
    component, name = address(data.component, data.variable)
    return MonitorRequest(
        component, name, data.type, data.value, data.severity, data.id, transaction=data.transaction is True
    )


def _result(data: SetMonitoringDataType, result: SetResult) -> SetMonitoringResultType:
    place = f"{data.component.name}.{data.variable.name}"
    log.info("CSMS sets %s on %s: %s %s", data.type, place, result.status, result.info or result.id or "")
    return SetMonitoringResultType(
        status=SetMonitoringStatus(result.status),
        type=data.type,
        component=data.component,
        variable=data.variable,
        severity=data.severity,
        id=result.id,
        status_info=status_info(result.reason_code or "", result.info or ""),
    )


async def clear_variable_monitoring(context: Context, call: CallReceived) -> Reply:
    """N06: one result per id, in order."""
    request = call.request
    assert isinstance(request, ClearVariableMonitoringRequest)
    monitoring = _monitoring(context)
    check_size(context, call, len(request.id))
    statuses = [ClearMonitoringStatus(one) for one in await monitoring.clear(request.id)]
    pairs = zip(request.id, statuses, strict=True)
    results = tuple(ClearMonitoringResultType(status=status, id=id, status_info=_WHY[status]) for id, status in pairs)
    log.info("CSMS clears the monitors %s", ", ".join(f"{one.id}: {one.status}" for one in results))
    return Reply(ClearVariableMonitoringResponse(clear_monitoring_result=results))
