"""Security events (A04): what they are, the log that keeps them, and what of them the CSMS is told."""
