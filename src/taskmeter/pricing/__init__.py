"""From a call's usage to its charges at list prices. Pure; the price data is read on first use or by `load()`."""

from taskmeter.pricing._catalog import load, provider_of
from taskmeter.pricing._charges import PriceContext, as_estimate, price
from taskmeter.pricing._rates import ToolPrice, human_rate, tool_price

__all__ = ["PriceContext", "ToolPrice", "as_estimate", "human_rate", "load", "price", "provider_of", "tool_price"]
