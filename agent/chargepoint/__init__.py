"""The EVSEs at work: the shell around the pure rooms of `agent.evse`."""

from agent.chargepoint.charge_point import ChargePoint

__all__ = ["ChargePoint"]
