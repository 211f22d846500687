"""Subscriptions that ran before the bridge did, told by the processor's API: each becomes a silent baseline.

They take the way of every event: stored in the inbox, routed to their customer's stream, settled there. So an import
survives a crash, can be run twice, and stands in the list of what has happened.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from cattrs.preconf.json import make_converter

from bridge.settings import Source
from bridge.store.inbox import Arrival
from processors.facts import SubscriptionState

TYPE = "bridge.import"

_json = make_converter(omit_if_default=True)
_json.register_unstructure_hook(Decimal, str)
_json.register_structure_hook(Decimal, lambda value, _: Decimal(value))


def arrival(source: Source, state: SubscriptionState, *, livemode: bool, now: datetime) -> Arrival:
    """The inbox row of an imported subscription. The same subscription, unchanged, has the same id."""
    body = str(_json.dumps(replace(state, at=now, processor_event_id=""), sort_keys=True)).encode()
    content = str(_json.dumps(replace(state, at=state.started_at or now, changed_at=None), sort_keys=True)).encode()
    event_id = f"import_{state.ids.subscription_id}_{hashlib.sha256(content).hexdigest()[:12]}"
    return Arrival(
        source=source.name,
        account=None,
        livemode=livemode,
        event_id=event_id,
        type=TYPE,
        created_at=now,
        received_at=now,
        body=body,
    )


def imported(body: bytes, event_id: str) -> SubscriptionState:
    """The state that `arrival` stored."""
    return replace(_json.loads(body, SubscriptionState), processor_event_id=event_id)
