"""Which coroutine answers which CALL of the CSMS. An action of OCPP 2.0.1 that is not here is NotSupported."""

from collections.abc import Mapping

from agent.ocpp import provisioning, remote_control
from agent.ocpp.handling import Handler

HANDLERS: Mapping[str, Handler] = {
    "SetVariables": provisioning.set_variables,
    "GetVariables": provisioning.get_variables,
    "GetBaseReport": provisioning.get_base_report,
    "GetReport": provisioning.get_report,
    "Reset": provisioning.reset,
    "TriggerMessage": remote_control.trigger_message,
}
