"""Payloads that nobody thought of: what is left out, null, huge, of a wrong type, contradictory, or of tomorrow."""

from __future__ import annotations

from typing import Any

from tests.pricing.cases.case import ANTHROPIC, OPENAI, UNKNOWN, Case, cached, chat, message, response, turn

GPT = "gpt-5-mini"
PLAIN = "(120*0.25 + 24*2)/M"
CLAUDE = "claude-sonnet-5"
CLAUDE_PLAIN = "(120*2 + 24*10)/M"


def counts(prompt: Any = 120, completion: Any = 24, total: Any = 144, **more: Any) -> dict[str, Any]:
    return chat(GPT, usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more})


def claude(**usage: Any) -> dict[str, Any]:
    return message(CLAUDE, usage={"input_tokens": 120, "output_tokens": 24, **usage})


def partial(name: str, answer: dict[str, Any], by: str, usd: str, reason: str) -> Case:
    surface = "message" if answer.get("type") == "message" else "response" if "output" in answer else "chat"
    source = ANTHROPIC if surface == "message" else OPENAI
    return Case(name, surface, answer, by, usd, source, status="partial", reason=reason)


CASES = [
    Case(
        "null details",
        "chat",
        counts(prompt_tokens_details=None, completion_tokens_details=None),
        PLAIN,
        "0.000078",
        OPENAI,
    ),
    Case(
        "details of nulls",
        "chat",
        counts(prompt_tokens_details={"cached_tokens": None, "audio_tokens": None}, completion_tokens_details={}),
        PLAIN,
        "0.000078",
        OPENAI,
    ),
    Case("no total", "chat", counts(total=None), PLAIN, "0.000078", OPENAI),
    Case("zeros", "chat", counts(0, 0, 0), "0", "0", OPENAI),
    Case(
        "as many tokens as can be counted",
        "chat",
        counts(2**53 - 24, 24, 2**53),
        "(9007199254740968*0.25 + 24*2)/M",
        "2251799813.68529",
        OPENAI,
    ),
    Case("details as a list", "chat", counts(prompt_tokens_details=[]), PLAIN, "0.000078", OPENAI),
    Case(
        "both names for the same counts",
        "chat",
        counts(input_tokens=0, output_tokens=0, input_tokens_details=None, prompt_cache_hit_tokens=0),
        PLAIN,
        "0.000078",
        OPENAI,
    ),
    Case(
        "cached as DeepSeek tells it",
        "chat",
        counts(prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=56),
        "(56*0.25 + 64*0.025 + 24*2)/M",
        "0.0000636",
        OPENAI,
    ),
    Case(
        "cached as Moonshot tells it",
        "chat",
        counts(cached_tokens=64),
        "(56*0.25 + 64*0.025 + 24*2)/M",
        "0.0000636",
        OPENAI,
    ),
    Case(
        "cached as LiteLLM tells it, twice",
        "chat",
        counts(cache_read_input_tokens=64, prompt_tokens_details={"cached_tokens": 64}),
        "(56*0.25 + 64*0.025 + 24*2)/M",
        "0.0000636",
        OPENAI,
    ),
    Case(
        "LiteLLM's name for what was written",
        "chat",
        chat("gpt-6-sol", 1000, 0, cache_creation_tokens=400),
        "(600*2 + 400*2.5)/M",
        "0.0022",
        OPENAI,
    ),
    Case(
        "counts as strings, which the SDK reads as numbers",
        "chat",
        counts(completion="24", prompt_tokens_details={"cached_tokens": "64"}),
        "(56*0.25 + 64*0.025 + 24*2)/M",
        "0.0000636",
        OPENAI,
    ),
    Case("a tier of null", "response", response(GPT, 120, 24, tier=None), PLAIN, "0.000078", OPENAI),
    Case(
        "a tier that is an object", "response", response(GPT, 120, 24, tier={"name": "flex"}), PLAIN, "0.000078", OPENAI
    ),
    Case("no model in the answer", "chat", {**counts(), "model": None}, PLAIN, "0.000078", OPENAI, model=GPT),
    Case(
        "output of null",
        "response",
        {**response(GPT, 120, 24), "output": None, "tool_usage": None},
        PLAIN,
        "0.000078",
        OPENAI,
    ),
    Case(
        "no usage",
        "chat",
        chat(GPT, usage="none"),
        # "gpt-5-mini", "user" and "Where is order 17?" are 32 bytes, so 8 tokens; "Done." are 2.
        "(8*0.25 + 2*2)/M",
        "0.000006",
        OPENAI,
        status="estimated",
        reason="states no usage",
    ),
    partial("a total that is more", counts(total=200), PLAIN, "0.000078", "are not the total of 200"),
    partial("a total that is less", counts(total=100), PLAIN, "0.000078", "are not the total of 100"),
    partial(
        "output that is no count",
        counts(completion="many"),
        "120*0.25/M",
        "0.00003",
        "completion_tokens is str, no count",
    ),
    partial(
        "output of less than nothing",
        counts(completion=-24, total=96),
        "120*0.25/M",
        "0.00003",
        "completion_tokens is int -24",
    ),
    partial(
        "a fraction of a token",
        counts(completion=23.5, total=143.5),
        "120*0.25/M",
        "0.00003",
        "completion_tokens is float",
    ),
    partial(
        "cached that is no count",
        counts(prompt_tokens_details={"cached_tokens": "some"}),
        PLAIN,
        "0.000078",
        "cached_tokens is str, no count",
    ),
    partial(
        "more cached than there was",
        counts(prompt_tokens_details={"cached_tokens": 200}),
        "(200*0.025 + 24*2)/M",
        "0.000053",
        "parts of 120 input tokens add up to 200",
    ),
    partial(
        "more reasoning than output",
        counts(completion_tokens_details={"reasoning_tokens": 30}),
        "(120*0.25 + 30*2)/M",
        "0.00009",
        "parts of 24 output tokens add up to 30",
    ),
    partial(
        "a count of tomorrow",
        counts(prompt_tokens_details={"video_tokens": 50}),
        PLAIN,
        "0.000078",
        "video_tokens (50) is not known here",
    ),
    Case(
        "a count of tomorrow that is 0",
        "chat",
        counts(prompt_tokens_details={"video_tokens": 0}),
        PLAIN,
        "0.000078",
        OPENAI,
    ),
    partial("a fee of tomorrow", counts(map_requests=2), PLAIN, "0.000078", "map_requests (2) is not known here"),
    partial(
        "a breakdown of tomorrow",
        counts(tools={"robot_tokens": 3}),
        PLAIN,
        "0.000078",
        "tools.robot_tokens (3) is not known",
    ),
    partial(
        "writes that outlive what was written",
        response(
            "gpt-6.2-sol",
            1000,
            0,
            cache_write_tokens=100,
            cache_write_tokens_details={"ttl_30m_tokens": 100, "ttl_12h_tokens": 100},
        ),
        "(800*2 + 100*2.5 + 100*5)/M",
        "0.00235",
        "cache writes by time to live add up to 200, not to 100",
    ),
    Case(
        "Claude: everything null",
        "message",
        claude(**dict.fromkeys(cached()), server_tool_use=None, iterations=None),
        CLAUDE_PLAIN,
        "0.00048",
        ANTHROPIC,
    ),
    Case("Claude: no iterations", "message", claude(iterations=[]), CLAUDE_PLAIN, "0.00048", ANTHROPIC),
    Case("Claude: zeros", "message", message(CLAUDE, 0, 0, **cached()), "0", "0", ANTHROPIC),
    Case(
        "Claude: a tier that does not apply",
        "message",
        claude(service_tier="not_available"),
        CLAUDE_PLAIN,
        "0.00048",
        ANTHROPIC,
    ),
    partial("Claude: output of null", claude(output_tokens=None), "120*2/M", "0.00024", "states no output count"),
    partial(
        "Claude: iterations that are none",
        claude(iterations=["a"]),
        CLAUDE_PLAIN,
        "0.00048",
        "an iteration states no tokens",
    ),
    partial(
        "Claude: an iteration without output",
        claude(iterations=[{"type": "message", "input_tokens": 7}, turn("message", 120, 24)]),
        "(7*2 + 120*2 + 24*10)/M",
        "0.000494",
        "states no output count",
    ),
    partial(
        "Claude: more written for an hour than at all",
        claude(cache_creation_input_tokens=10, cache_creation={"ephemeral_1h_input_tokens": 30}),
        "(120*2 + 30*4 + 24*10)/M",
        "0.0006",
        "20 more than all cache writes",
    ),
    partial(
        "Claude: more thought than put out",
        claude(output_tokens_details={"thinking_tokens": 30}),
        "(120*2 + 30*10)/M",
        "0.00054",
        "parts of 24 output tokens add up to 30",
    ),
    partial(
        "Claude: a tool of tomorrow",
        claude(server_tool_use={"map_requests": 2}),
        CLAUDE_PLAIN,
        "0.00048",
        "map_requests (2)",
    ),
    partial(
        "Claude: a cache of tomorrow",
        claude(cache_creation={"ephemeral_1d_input_tokens": 2}),
        CLAUDE_PLAIN,
        "0.00048",
        "ephemeral_1d",
    ),
    partial(
        "Claude: searches that are no count",
        claude(server_tool_use={"web_search_requests": "2"}),
        CLAUDE_PLAIN,
        "0.00048",
        "web_search_requests is str",
    ),
    Case(
        "Claude: input that is no count",
        "message",
        message("claude-sage-9", usage={"input_tokens": "120", "output_tokens": 24}),
        "",
        "",
        UNKNOWN,
        status="unpriced",
        reason="claude-sage-9",
    ),
]
