"""What decides the price of a call before it is answered: where it was sent, and how it was to be processed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, TypeAlias

from taskmeter.capture.provider import Client
from taskmeter.capture.reading import text_field
from taskmeter.pricing import provider_of

Variants: TypeAlias = tuple[tuple[str, str], ...]

_PLAIN: Final = frozenset({"OpenAI", "AsyncOpenAI", "Anthropic", "AsyncAnthropic"})
"""Clients that go wherever their base URL points. All others belong to a platform."""
_OPENAI_REGION: Final = re.compile(r"([a-z]{2,4})\.api\.openai\.com")
_VERTEX_REGION: Final = re.compile(r"(?:aiplatform\.([a-z]+)\.rep|([a-z0-9-]+)-aiplatform)\.googleapis\.com")
_STANDARD: Final = frozenset({"auto", "default", "standard", "standard_only", "global"})
"""What is asked for where nothing special is."""
_GLOBAL_PROFILE: Final = "global.anthropic."


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one call."""

    variants: Variants = ()
    """What is certain, as pairs for the price: the region, the completion window, that the host is nobody's known."""
    asked: Variants = ()
    """What was asked for and only counts, as an estimate, if the answer does not say what was served."""
    gateway: bool = False
    """Whether nobody's known host answers, which may be a gateway that states its own price."""


NO_TERMS: Final = Terms()


def terms_of(client: Client, request: Mapping[str, object], asked: Iterable[str], provider: str) -> Terms:
    """Those of the body `request`; `asked` names the fields of it that the answer repeats as they were served."""
    url, kind = str(client.base_url), type(client).__name__
    gateway = kind in _PLAIN and _is_nobodys(url)
    variants = {**dict(place_of(url, provider)), **_bedrock_region(client, request, provider), **_window(request)}
    if gateway:
        variants["host"] = "unknown"
    wanted = ((name, request.get(name)) for name in asked)
    special = tuple((name, value) for name, value in wanted if isinstance(value, str) and value not in _STANDARD)
    return Terms(tuple(sorted(variants.items())), special, gateway)


def session_terms(host: str, provider: str) -> Terms:
    """Those of a session with `host`. Of a provider's class that goes anywhere, only OpenAI's makes such sessions."""
    url = f"https://{host}/v1"
    unknown = (("host", "unknown"),) if provider == "openai" and _is_nobodys(url) else ()
    return Terms((*unknown, *place_of(url, provider)))


@lru_cache(maxsize=256)
def place_of(base_url: str, provider: str) -> Variants:
    """The region whose surcharge a base URL brings; empty for a global one."""
    host = base_url.partition("://")[2].partition("/")[0]
    if provider == "gcp.vertex_ai":
        found = _VERTEX_REGION.fullmatch(host)
        return (("region", found[1] or found[2]),) if found else ()
    found = _OPENAI_REGION.fullmatch(host)
    return (("region", found[1]),) if found and found[1] != "global" else ()


def _bedrock_region(client: Client, request: Mapping[str, object], provider: str) -> dict[str, str]:
    region = getattr(client, "aws_region", None) if provider == "aws.bedrock" else None
    if not isinstance(region, str):
        return {}
    return {"region": "global" if _GLOBAL_PROFILE in str(request.get("model")) else region}


def _window(request: Mapping[str, object]) -> dict[str, str]:
    """That of a background response that may take its time."""
    window = text_field(request, "background_options", "completion_window") if request.get("background") else None
    return {"completion_window": window} if window and window != "soonest" else {}


def _is_nobodys(base_url: str) -> bool:
    """Whether a base URL is that of no provider known. A loopback address is a stub, or a proxy of one's own."""
    host = base_url.partition("://")[2].partition("/")[0]
    if provider_of(base_url) is not None or _OPENAI_REGION.fullmatch(host):
        return False
    name = host.rpartition(":")[0].strip("[]") if host.count(":") == 1 or host.startswith("[") else host
    if name == "localhost":
        return False
    try:
        return not ip_address(name).is_loopback
    except ValueError:
        return True
