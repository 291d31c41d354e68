"""From a call's usage to its charges, at list prices and under the user's contract. Pure but for the price files,
which are read by `load()` and `use()`, or on first use."""

from taskmeter.pricing._book import ToolPrice, chosen, human_rate, tool_price
from taskmeter.pricing._charges import PriceContext, as_estimate, price
from taskmeter.pricing._files import load, provider_of, use

__all__ = [
    "PriceContext",
    "ToolPrice",
    "as_estimate",
    "chosen",
    "human_rate",
    "load",
    "price",
    "provider_of",
    "tool_price",
    "use",
]
