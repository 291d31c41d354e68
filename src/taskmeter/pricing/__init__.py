"""From a call's usage to its charges, at list prices and under the user's contract. Pure but for the price files,
which are read by `load()` and `use()`, or on first use."""

from taskmeter.pricing._book import ToolPrice, chosen, human_rate, tool_price
from taskmeter.pricing._catalog import data_version, models_of, newest_price
from taskmeter.pricing._charges import PriceContext, as_estimate, price
from taskmeter.pricing._files import load, provider_of, use
from taskmeter.pricing._rates import MEDIA, PARTS, Rates, rates

__all__ = [
    "MEDIA",
    "PARTS",
    "PriceContext",
    "Rates",
    "ToolPrice",
    "as_estimate",
    "chosen",
    "data_version",
    "human_rate",
    "load",
    "models_of",
    "newest_price",
    "price",
    "provider_of",
    "rates",
    "tool_price",
    "use",
]
