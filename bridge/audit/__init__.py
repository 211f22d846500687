"""The ledger's totals compared with the processor's own, every difference with its cause: `audit`."""
