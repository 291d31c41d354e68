"""What OpenAI bills beside the tokens of the model that answered: hosted tools, and what other models drew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Final

from taskmeter.capture.counts import fields_of, is_count
from taskmeter.capture.openai_tokens import read_tokens
from taskmeter.capture.reading import Portion, field, items, text_field
from taskmeter.records import Part, Usage

_FEES: Final = {"file_search_call": "file_search", "code_interpreter_call": "container"}
"""Items of a Response that are billed by themselves. Those without a price per call make the cost `partial`."""


@dataclass(slots=True)
class ToolUse:
    """What is billed beside the tokens of the answer."""

    fees: dict[str, int] = default(default_factory=dict[str, int])
    portions: list[Portion] = default(default_factory=list[Portion])
    doubt: str = ""

    def charge(self, fee: str, count: int = 1) -> None:
        """Adds `count` to a fee."""
        if count:
            self.fees[fee] = self.fees.get(fee, 0) + count


_NONE: Final = ToolUse()


def tool_use(answer: Mapping[str, object], wrong: list[str]) -> ToolUse:
    """That of one answer; adds to `wrong` what does not add up."""
    stated, output, svg = answer.get("tool_usage"), items(answer.get("output")), answer.get("svg_usage")
    if not output and stated is None and svg is None:
        return _NONE
    use = ToolUse()
    if svg is not None:
        _count_svg(svg, use, wrong)
    tools = items(answer.get("tools"))
    searches, images = 0, 0
    for item in output:
        kind = text_field(item, "type") or ""
        if kind == "web_search_call":
            searches += text_field(item, "action", "type") in (None, "search")
        elif kind == "image_generation_call":
            images += text_field(item, "status") != "failed"
            if (svg := field(item, "svg_usage")) is not None:
                _count_svg(svg, use, wrong)
        elif kind in _FEES:
            use.charge(_FEES[kind])
        elif kind == "shell_call" and text_field(item, "environment", "type") == "container_reference":
            use.charge("container")
    counted = field(stated, "web_search", "num_requests")
    use.charge(_search_fee(tools), counted if is_count(counted) else searches)
    _count_images(images, field(stated, "image_gen"), tools, use, wrong)
    return use


def _search_fee(tools: list[object]) -> str:
    """The preview of the tool has prices of its own."""
    preview = any((text_field(tool, "type") or "").startswith("web_search_preview") for tool in tools)
    return "web_search_preview" if preview else "web_search"


def _count_images(images: int, counted: object, tools: list[object], use: ToolUse, wrong: list[str]) -> None:
    """Images are billed by the tokens of the model that drew them, where those are stated."""
    before = len(wrong)
    tokens = read_tokens(counted, wrong, draws=True)
    if not tokens:
        use.charge("image_generation", images if len(wrong) == before else 1)
        return
    model = next((text_field(tool, "model") for tool in tools if text_field(tool, "type") == "image_generation"), None)
    use.portions.append(_drawing(tokens, model))
    if fields_of(counted).get("cached_tokens") is None:
        use.doubt = "how much of the drawing's input was cached is not stated"


def _count_svg(counted: object, use: ToolUse, wrong: list[str]) -> None:
    """An SVG is written by a model of its own, which it names."""
    tokens = read_tokens(counted, wrong)
    if tokens is None:
        wrong.append("the tokens of an SVG are not stated")
    elif tokens:
        use.portions.append(_drawing(tokens, text_field(counted, "model")))


def _drawing(tokens: dict[Part, int], model: str | None) -> Portion:
    return Portion(Usage(tokens), model or "an image model that is not named", tiered=False)
