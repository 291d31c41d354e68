"""A secret, and every form in which it may lie somewhere."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import Final

CANARY: Final = "CaNaRy7f3a"


def secret(place: str) -> str:
    """A secret that tells at which place it was."""
    return f"{CANARY} of the {place}"


def found_in(content: bytes) -> list[str]:
    """What is around each occurrence, in whatever form."""
    places: list[str] = []
    lowered = content.lower()
    for form in FORMS:
        at = lowered.find(form)
        while at >= 0:
            places.append(content[max(0, at - 120) : at + 80].decode("utf-8", "replace"))
            at = lowered.find(form, at + 1)
    return places


def _forms() -> set[bytes]:
    plain = CANARY.encode()
    escaped = "".join(f"\\u{ord(character):04x}" for character in CANARY)
    forms = {plain, plain.hex().encode(), escaped.encode(), CANARY.encode("utf-16-le"), plain[::-1]}
    for before in range(3):  # as base64, wherever in a group of three it begins
        for encode in (b64encode, urlsafe_b64encode):
            # The first and last characters depend on what is around.
            forms.add(encode(b"\0" * before + plain).rstrip(b"=")[(before * 8 + 5) // 6 : -1])
    return {form.lower() for form in forms}


FORMS: Final = _forms()
