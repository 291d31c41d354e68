"""From a call's usage to its charges at list prices. Pure; the price data is read on first use or by `load()`."""

from taskmeter.pricing._catalog import data_version, load, newest_price, provider_of
from taskmeter.pricing._charges import PriceContext, as_estimate, price

__all__ = ["PriceContext", "as_estimate", "data_version", "load", "newest_price", "price", "provider_of"]
