"""Which coroutine answers which CALL of the CSMS. An action of OCPP 2.0.1 that is not here is NotSupported.

A handler and its messages are imported when the first such CALL comes, or by `load` once the station runs, so one
more costs nothing before BootNotification.
"""

from collections.abc import Mapping
from importlib import import_module

from agent.ocpp.handling import Handler
from agent.ocpp.messages import FROM_CSMS, TO_CSMS
from agent.ocpp.messages.on_demand import OnDemand


def _handler(place: str, _action: str) -> Handler:
    module, _, name = place.partition(":")
    handler: Handler = getattr(import_module(f"agent.ocpp.{module}"), name)
    return handler


HANDLERS: Mapping[str, Handler] = OnDemand(
    {
        "SetVariables": "provisioning:set_variables",
        "GetVariables": "provisioning:get_variables",
        "GetBaseReport": "provisioning:get_base_report",
        "GetReport": "provisioning:get_report",
        "Reset": "provisioning:reset",
        "TriggerMessage": "remote_control:trigger_message",
        "ClearCache": "authorization:clear_cache",
        "SendLocalList": "local_list:send_local_list",
        "GetLocalListVersion": "local_list:get_local_list_version",
        "GetTransactionStatus": "transactions:get_transaction_status",
        "RequestStartTransaction": "remote_control:request_start_transaction",
        "RequestStopTransaction": "remote_control:request_stop_transaction",
        "UnlockConnector": "remote_control:unlock_connector",
        "ChangeAvailability": "availability:change_availability",
        "ReserveNow": "reservation:reserve_now",
        "CancelReservation": "reservation:cancel_reservation",
        "SetChargingProfile": "smart_charging:set_charging_profile",
        "GetChargingProfiles": "smart_charging:get_charging_profiles",
        "ClearChargingProfile": "smart_charging:clear_charging_profile",
        "GetCompositeSchedule": "smart_charging:get_composite_schedule",
        "GetMonitoringReport": "monitoring:get_monitoring_report",
        "SetMonitoringBase": "monitoring:set_monitoring_base",
        "SetVariableMonitoring": "monitoring:set_variable_monitoring",
        "SetMonitoringLevel": "monitoring:set_monitoring_level",
        "ClearVariableMonitoring": "monitoring:clear_variable_monitoring",
        "GetLog": "diagnostics:get_log",
        "CustomerInformation": "diagnostics:customer_information",
    },
    _handler,
)


def load() -> None:
    """Import every handler and message that was not needed yet; for a thread, once the station runs.

    Later the disk may be broken, or hold another version of this program.
    """
    tables: tuple[Mapping[str, object], ...] = (HANDLERS, FROM_CSMS, TO_CSMS)
    for table in tables:
        for action in table:
            table[action]
