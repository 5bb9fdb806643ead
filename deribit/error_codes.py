"""Deribit's error codes that the agent tells apart, as https://docs.deribit.com/#rpc-error-codes lists them.

Everything not listed here is refused (an answer that says no) without a meaning of its own.
"""

from __future__ import annotations

RATE_LIMIT_CODE = 10028
CREDENTIALS_CODE = 13004
UNAUTHORIZED_CODE = 13009

# After these a new token is asked for.
TOKEN_CODES = frozenset({10000, UNAUTHORIZED_CODE})
# A read refused with one of these may be answered at the next try.
RETRIED_READ_CODES = frozenset({10040, 10041, 10047, 10066, 11094, 13028})

# Answers after which an order certainly does not exist; every other failure of an order leaves it unknown.
# fmt: off
DEFINITIVE_REFUSALS = frozenset({
    -32600, -32601, -32602, -32000,
    10000, 10002, 10003, 10004, 10005, 10006, 10007, 10008, 10009, 10010, 10011, 10012, 10019, 10020, 10021, 10022,
    10023, 10025, 10026, 10029, 10031, 10032, 10036, 10037, 10039, 10040, 10041, 10043, 10047, 10066, 10072,
    11029, 11030, 11042, 11044, 11051, 11054, 11055, 11098,
    13009, 13010, 13011, 13016, 13019, 13020, 13021, 13025, 13403, 13503,
})
# fmt: on
