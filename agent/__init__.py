"""The station agent: hardware on one side, an OCPP 2.0.1 CSMS on the other, one Device Model in between."""

__version__ = "0.1.0"
