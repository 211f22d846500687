"""Everything that knows Pulsora: the contract, the schedule, one POST, and the drain of the outbox."""
