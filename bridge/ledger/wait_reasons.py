"""Why a customer's webhooks wait, in words. Apart from the rules, so that a list of webhooks needs no ledger."""

AWAITING_FIRST_PAYMENT = "the subscription has started: waiting for its first payment"
AWAITING_QUIET = "waiting until its customer's webhooks have been quiet for SETTLE_SECONDS"
AWAITING_CUSTOMER = "waiting for a webhook that names its customer"
AWAITING_OTHERS = "waiting for other webhooks of its customer"
AWAITING_DATE = "waiting for the date on which it takes effect"
