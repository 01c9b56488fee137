"""Which coroutine answers which CALL of the CSMS. An action of OCPP 2.0.1 that is not here is NotSupported."""

from collections.abc import Mapping

from agent.ocpp import (
    authorization,
    availability,
    local_list,
    provisioning,
    remote_control,
    reservation,
    transactions,
)
from agent.ocpp.handling import Handler

HANDLERS: Mapping[str, Handler] = {
    "SetVariables": provisioning.set_variables,
    "GetVariables": provisioning.get_variables,
    "GetBaseReport": provisioning.get_base_report,
    "GetReport": provisioning.get_report,
    "Reset": provisioning.reset,
    "TriggerMessage": remote_control.trigger_message,
    "ClearCache": authorization.clear_cache,
    "SendLocalList": local_list.send_local_list,
    "GetLocalListVersion": local_list.get_local_list_version,
    "GetTransactionStatus": transactions.get_transaction_status,
    "RequestStartTransaction": remote_control.request_start_transaction,
    "RequestStopTransaction": remote_control.request_stop_transaction,
    "UnlockConnector": remote_control.unlock_connector,
    "ChangeAvailability": availability.change_availability,
    "ReserveNow": reservation.reserve_now,
    "CancelReservation": reservation.cancel_reservation,
}
