"""Builders: every part of a state with sensible defaults, changed by keyword. Also an agent's client without a network.

The world they build: 5 January 2026, noon UTC, BTC at 100,000 USD, ETH at 4,000 USD, an account with 1 BTC and 10 ETH,
one call to sell eleven days out. Prices in coin, sizes in coin, spot in USD. No setting of the machine gets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from config import AgentConfig
from core.chain import Chain, chain_of, listing_of, quotes_of
from core.exposure import coin_risk, expiry_exposures
from core.market_context import Closes, CoinData
from deribit_client import DeribitClient
from models import (
    ActionType,
    AgentState,
    CandidateOption,
    CoinAccount,
    MarketSnapshot,
    OptionInstrument,
    OptionPosition,
    OptionQuote,
    Order,
    PortfolioState,
    PriceBar,
    ProposedAction,
    RawPosition,
    Ticker,
    Underlying,
)
from orders.order_log import OrderMemory
from paper_exchange.setups import Setup, simulated_setup
from state_builder import MarketMemory, RawState, fetch
from tests.builders.configs import a_config

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
EXPIRY = datetime(2026, 1, 16, 8, 0, tzinfo=UTC)
LATER_EXPIRY = datetime(2026, 1, 23, 8, 0, tzinfo=UTC)
NEXT_EXPIRY = datetime(2026, 1, 6, 8, 0, tzinfo=UTC)
SPOT_USD: Mapping[Underlying, float] = {"BTC": 100_000.0, "ETH": 4_000.0}
STRIKE_USD: Mapping[Underlying, float] = {"BTC": 110_000.0, "ETH": 4_400.0}
COINS_HELD: Mapping[str, float] = {"BTC": 1.0, "ETH": 10.0}
MIN_AMOUNT: Mapping[Underlying, float] = {"BTC": 0.1, "ETH": 1.0}
UNDERLYINGS: tuple[Underlying, ...] = get_args(Underlying)
TICK_STEPS = ((0.005, 0.0005),)


def symbol_of(underlying: Underlying = "BTC", expiry: datetime = EXPIRY, strike: float = 0.0, kind: str = "C") -> str:
    """Deribit's name of an option; strike 0 is the builders' usual one."""
    day = f"{expiry.day}{expiry:%b%y}".upper()
    return f"{underlying}-{day}-{strike or STRIKE_USD[underlying]:g}-{kind}"


# --- the parts of a state -------------------------------------------------------------------


def a_market(underlying: Underlying = "BTC", **fields: Any) -> MarketSnapshot:
    defaults = {"spot_usd": SPOT_USD[underlying], "atm_iv_fraction": 0.5, "rv_fraction": 0.4, "iv_rv_ratio": 1.25}
    return MarketSnapshot(**{"underlying": underlying, **defaults, **fields})


def an_account(currency: Underlying = "BTC", coins: float | None = None, **fields: Any) -> CoinAccount:
    """An account with nothing but coins in it, or what the fields say."""
    held = COINS_HELD[currency] if coins is None else coins
    defaults = {
        "balance_coin": held,
        "equity_coin": held,
        "margin_balance_coin": held,
        "initial_margin_coin": 0.0,
        "maintenance_margin_coin": 0.0,
        "available_funds_coin": held,
    }
    return CoinAccount(**{"currency": currency, **defaults, **fields})


def a_candidate(underlying: Underlying = "BTC", **fields: Any) -> CandidateOption:
    """A call worth selling: 10 % out of the money, quoted now at 0.0100 / 0.0110."""
    expiry, strike = fields.get("expiry", EXPIRY), fields.get("strike", STRIKE_USD[underlying])
    defaults = {
        "symbol": symbol_of(underlying, expiry, strike),
        "strike": strike,
        "expiry": expiry,
        "dte_days": (expiry - NOW) / timedelta(days=1),
        "delta": 0.2,
        "bid_price_coin": 0.0100,
        "ask_price_coin": 0.0110,
        "mid_price_coin": 0.0105,
        "mark_price_coin": 0.0105,
        "mark_iv_fraction": 0.5,
        "spread_pct": 9.5,
        "premium_usd": 0.0097 * SPOT_USD[underlying],
        "yield_if_flat_pct": 0.97,
        "yield_if_flat_annual_pct": 32.7,
        "yield_if_called_pct": 10.97,
        "breakeven_usd": 0.9903 * SPOT_USD[underlying],
        "min_trade_amount_coin": MIN_AMOUNT[underlying],
        "quoted_at": NOW,
    }
    return CandidateOption(**{"underlying": underlying, **defaults, **fields})


def a_short_call(underlying: Underlying = "BTC", **fields: Any) -> OptionPosition:
    """A sold call in good order: out of the money, quoted now, the order size of the defaults."""
    expiry, strike = fields.get("expiry", EXPIRY), fields.get("strike", STRIKE_USD[underlying])
    size = fields.get("size", MIN_AMOUNT[underlying])
    defaults = {
        "symbol": symbol_of(underlying, expiry, strike),
        "option_type": "call",
        "strike": strike,
        "expiry": expiry,
        "side": "short",
        "size": size,
        "avg_price": 0.0100,
        "mark_price_coin": 0.0100,
        "delta": -0.2 * size,
        "dte_days": (expiry - NOW) / timedelta(days=1),
        "bid_price_coin": 0.0095,
        "ask_price_coin": 0.0105,
        "mark_iv_fraction": 0.5,
        "quoted_at": NOW,
    }
    return OptionPosition(**{"underlying": underlying, **defaults, **fields})


def a_due_call(underlying: Underlying = "BTC", **fields: Any) -> OptionPosition:
    """A sold call with 20 hours left."""
    return a_short_call(underlying, **{"expiry": NEXT_EXPIRY, **fields})


def an_order(symbol: str | None = None, **fields: Any) -> Order:
    """A resting sell of ours over 0.1 coin."""
    defaults = {
        "order_id": "1",
        "label": "cc-260105120000-abcdef-sell",
        "direction": "sell",
        "amount_coin": 0.1,
        "filled_amount_coin": 0.0,
        "avg_price_coin": 0.0,
        "price_coin": 0.0105,
        "order_state": "open",
        "created_at": NOW,
    }
    return Order(**{"symbol": symbol or symbol_of(), **defaults, **fields})


def a_raw_position(symbol: str | None = None, **fields: Any) -> RawPosition:
    """A sold call as it is read, before its instrument is known."""
    defaults = {"kind": "option", "size": -0.1, "avg_price": 0.01, "mark_price": 0.01, "delta": -0.02}
    return RawPosition(**{"symbol": symbol or symbol_of(), **defaults, **fields})


def a_portfolio(**fields: Any) -> PortfolioState:
    return PortfolioState(**{"accounts": tuple(an_account(coin) for coin in UNDERLYINGS), **fields})


def a_state(**fields: Any) -> AgentState:
    """A state with one BTC call to sell. Portfolio fields go to the portfolio; risks and exposures follow from it."""
    portfolio = a_portfolio(**{name: fields.pop(name) for name in PortfolioState.model_fields if name in fields})
    listed = {order.symbol: an_instrument(_coin(order.symbol), symbol=order.symbol) for order in portfolio.open_orders}
    defaults = {
        "decision_id": "260105120000-abcdef",
        "timestamp": NOW,
        "markets": tuple(a_market(coin) for coin in UNDERLYINGS),
        "risks": tuple(coin_risk(account, portfolio) for account in portfolio.accounts),
        "expiry_exposures": tuple(expiry_exposures(portfolio, listed)),
        "candidates": (a_candidate(),),
    }
    return AgentState(**{"portfolio": portfolio, **defaults, **fields})


def _coin(symbol: str) -> Underlying:
    return "BTC" if symbol.startswith("BTC") else "ETH"


# --- actions ------------------------------------------------------------------------------------


def an_opening(call: CandidateOption | None = None, size: float | None = None, **fields: Any) -> ProposedAction:
    sold = call or a_candidate()
    return ProposedAction(
        **{
            "type": ActionType.OPEN_COVERED_CALL,
            "underlying": sold.underlying,
            "symbol": sold.symbol,
            "size": MIN_AMOUNT[sold.underlying] if size is None else size,
            "reason": "a test",
            **fields,
        }
    )


def a_closing(call: OptionPosition, size: float | None = None) -> ProposedAction:
    return ProposedAction(
        type=ActionType.CLOSE_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        size=call.size if size is None else size,
        reason="a test",
    )


def a_roll(call: OptionPosition, target: CandidateOption, size: float | None = None) -> ProposedAction:
    return ProposedAction(
        type=ActionType.ROLL_COVERED_CALL,
        underlying=call.underlying,
        symbol=call.symbol,
        new_symbol=target.symbol,
        size=call.size if size is None else size,
        reason="a test",
    )


# --- raw material of a state --------------------------------------------------------------------


def an_instrument(underlying: Underlying = "BTC", **fields: Any) -> OptionInstrument:
    expiry, strike = fields.get("expiry", EXPIRY), fields.get("strike", STRIKE_USD[underlying])
    kind = "P" if fields.get("option_type") == "put" else "C"
    defaults = {
        "symbol": symbol_of(underlying, expiry, strike, kind),
        "strike": strike,
        "expiry": expiry,
        "option_type": "call",
        "contract_size_coin": 1.0,
        "min_trade_amount_coin": MIN_AMOUNT[underlying],
        "tick_size_coin": 0.0001,
        "tick_steps": TICK_STEPS,
    }
    return OptionInstrument(**{"underlying": underlying, **defaults, **fields})


def a_quote(symbol: str | None = None, **fields: Any) -> OptionQuote:
    """A fresh two-sided quote that passes all the filters on the builders' usual call."""
    quote = OptionQuote(symbol or symbol_of(), 0.0100, 0.0110, 0.0105, 0.5, SPOT_USD["BTC"], NOW)
    return quote._replace(**fields)


def a_ticker(**fields: Any) -> Ticker:
    """A ticker of the usual instrument; both sides empty unless given."""
    plain = {
        "symbol": an_instrument().symbol,
        "quoted_at": NOW,
        "state": "open",
        "bid_price_coin": None,
        "bid_amount_coin": None,
        "ask_price_coin": None,
        "ask_amount_coin": None,
        "mark_price_coin": 0.01,
        "last_price_coin": None,
        "min_price_coin": None,
        "max_price_coin": None,
        "index_price_usd": 100_000.0,
    }
    return Ticker(**{**plain, **fields})


def some_bars(closes: Iterable[float], hours: float = 1.0, end: datetime = NOW) -> tuple[PriceBar, ...]:
    """Closes at a fixed distance, the last one now."""
    listed = list(closes)
    first = end - timedelta(hours=hours * (len(listed) - 1))
    return tuple(PriceBar(first + timedelta(hours=hours * n), close) for n, close in enumerate(listed))


def calm_bars(spot_usd: float = 100_000.0, swing_fraction: float = 0.003) -> tuple[PriceBar, ...]:
    """Thirty days of hourly closes that go up and down by the same step: 28 % realised volatility."""
    return some_bars(spot_usd * (1.0 + swing_fraction * (n % 2)) for n in range(30 * 24 + 1))


def a_coin(*listed: tuple[OptionInstrument, OptionQuote], **fields: Any) -> CoinData:
    """One coin with these options on its chain; the usual call where none is given."""
    shown = listed or ((an_instrument(), a_quote()),)
    defaults = {
        "underlying": "BTC",
        "spot_usd": SPOT_USD["BTC"],
        "chain": a_chain(*shown),
        "closes": Closes(fields.pop("bars", calm_bars())),
        "dvol_fraction": 0.5,
    }
    return CoinData(**{**defaults, **fields})


def a_chain(*listed: tuple[OptionInstrument, OptionQuote], unlisted: Iterable[OptionQuote] = ()) -> Chain:
    """These options, and quotes of others that the listing does not know."""
    quotes = quotes_of([*(quote for _, quote in listed), *unlisted])
    return chain_of(quotes, listing_of({option.symbol: option for option, _ in listed}))


def a_call(**fields: Any) -> tuple[OptionInstrument, OptionQuote]:
    """A listed call with its quote; fields of either."""
    quoted = {name: fields.pop(name) for name in OptionQuote._fields if name in fields and name != "symbol"}
    option = an_instrument(**fields)
    return option, a_quote(option.symbol, **quoted)


def a_raw_state(*coins: CoinData, **fields: Any) -> RawState:
    """What assemble_state starts from: one coin, an account, nothing held."""
    chain = coins or (a_coin(),)
    defaults = {
        "now": NOW,
        "seed": 1,
        "open_orders": (),
        "positions": (),
        "accounts": tuple(an_account(coin) for coin in UNDERLYINGS),
        "coins": chain,
        "instruments": {symbol: option for coin in chain for symbol, option in coin.instruments.items()},
        "kill_note": None,
    }
    return RawState(**{**defaults, **fields})


# --- a client on the simulated exchange ------------------------------------------------------------


def a_client_on(setup: Setup, config: AgentConfig | None = None) -> DeribitClient:
    return DeribitClient(
        config or a_config(),
        transport=setup.transport,
        clock=setup.clock,
        order_log=OrderMemory(),
        credentials=("paper", "paper"),
    )


def a_simulated_client(seed: int = 1, config: AgentConfig | None = None) -> DeribitClient:
    """The agent's own client on a fresh simulated exchange with 1 BTC and 10 ETH; its clock moves by sleeping."""
    return a_client_on(simulated_setup(seed, COINS_HELD), config)


def simulated_raw(seed: int, hours: float = 0.0) -> RawState:
    """What is read from a simulated exchange, some hours after its start."""
    client = a_simulated_client(seed)
    client.clock.sleep(hours * 3600.0)
    return fetch(client, a_config(), MarketMemory())
