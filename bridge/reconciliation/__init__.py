"""The processor's own list of events and its webhook endpoint, compared with what arrived here."""
