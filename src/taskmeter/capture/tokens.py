"""Estimates of token counts, where a provider gives none: never for a call that states its usage.

UTF-8 bytes / 4 by default: within 20 % on prose, documentation, code and CJK text. With `configure(tokenizer=...)` the
text of requests is counted by tiktoken; of answers only lengths are kept, so that theirs stays bytes / 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from taskmeter._bounds import shown
from taskmeter.errors import ConfigurationError, MissingDependencyError

BYTES_PER_TOKEN = 4
_WINDOWS: Final = 16
_WINDOW: Final = 64
"""Characters in a row that are looked at, in so many places of a text that is long."""
_MEDIA_KEYS = frozenset({"data", "file_data", "b64_json", "image_url"})


class _Tokenizer:
    def __init__(self) -> None:
        self.name: str | None = None
        self.encoding: Any = None


_tokenizer = _Tokenizer()


def use_tokenizer(name: str | None) -> None:
    """Counts requests by tiktoken's encoding `name` from now on; `None` for bytes / 4.

    Loads the encoding now, from tiktoken's cache (`TIKTOKEN_CACHE_DIR`) or else from the network. Raises
    `MissingDependencyError` without tiktoken, `ConfigurationError` for an encoding that it cannot load.
    """
    if name == _tokenizer.name:
        return
    encoding = None
    if name is not None:
        try:
            import tiktoken
        except ImportError as error:
            raise MissingDependencyError("tiktoken", "tokens", f"tokenizer={shown(name)}") from error
        try:
            encoding = tiktoken.get_encoding(name)
        except Exception as error:
            msg = f"tokenizer={shown(name)} cannot be loaded by tiktoken ({type(error).__name__}); try 'o200k_base'"
            raise ConfigurationError(msg) from error
    _tokenizer.encoding, _tokenizer.name = encoding, name


def how() -> str:
    """How estimates are made, to be told beside them."""
    if _tokenizer.name is None:
        return "estimated as UTF-8 bytes / 4"
    return f"estimated: input by {_tokenizer.name}, output as UTF-8 bytes / 4"


def utf8_length(text: str | None) -> int:
    """Bytes of `text` in UTF-8, without a copy where it is ASCII."""
    if not text:
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def weight_of(text: str) -> int:
    """UTF-8 bytes of `text`, in bounded time: estimated from some of its characters where it is long and not ASCII."""
    length = len(text)
    if text.isascii():
        return length
    if length <= _WINDOWS * _WINDOW:
        return len(text.encode("utf-8", "surrogatepass"))
    between = length - _WINDOW
    starts = [between * number // (_WINDOWS - 1) for number in range(_WINDOWS)]
    some = "".join([text[start : start + _WINDOW] for start in starts])
    return length * len(some.encode("utf-8", "surrogatepass")) // (_WINDOWS * _WINDOW)


def estimated_tokens(byte_count: int) -> int:
    """An estimate: bytes / 4, at least 1 where there is anything."""
    return -(-byte_count // BYTES_PER_TOKEN)


def request_bytes(value: object) -> int:
    """UTF-8 bytes of all text in a request body, media left out. Costs time with its size: for estimates only."""
    return sum(utf8_length(text) for text in _texts(value))


def request_weight(body: object) -> int:
    """The same, of which that of each text is told in bounded time by `weight_of`. Costs time with their number."""
    return sum(map(weight_of, _texts(body)))


def request_tokens(body: object) -> int:
    """Tokens of all text in a request body, media left out. Costs time with its size: for estimates only."""
    encoding = _tokenizer.encoding
    if encoding is None:
        return estimated_tokens(request_bytes(body))
    return sum(len(encoding.encode_ordinary(text)) for text in _texts(body))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            if key not in _MEDIA_KEYS:
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("list[object]", value):
            yield from _texts(item)
