"""Programs on frameworks that call the SDKs, or the providers by themselves."""

from __future__ import annotations

import asyncio
from typing import Any

GPT = "gpt-5-mini"
CLAUDE = "claude-sonnet-5"
MESSAGES: Any = [{"role": "user", "content": "Where is order 17?"}]


def _chat_openai(url: str, **options: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=GPT, base_url=f"{url}/v1", api_key="none", **options)


def _chat_anthropic(url: str) -> Any:
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model=CLAUDE, base_url=url, api_key="none")


def langchain_chat(url: str) -> None:
    _chat_openai(url, use_responses_api=False).invoke("Where is order 17?")


def langchain_response(url: str) -> None:
    _chat_openai(url, use_responses_api=True).invoke("Where is order 17?")


async def langchain_chat_async(url: str) -> None:
    await _chat_openai(url, use_responses_api=False).ainvoke("Where is order 17?")


def langchain_chat_stream(url: str) -> None:
    list(_chat_openai(url, use_responses_api=False, stream_usage=True).stream("Where is order 17?"))


def langchain_batch(url: str) -> None:
    _chat_openai(url, use_responses_api=False).batch(["Where is order 17?"] * 5)


def langchain_chain(url: str) -> None:
    from langchain_core.prompts import ChatPromptTemplate

    chain = ChatPromptTemplate.from_template("Where is order {number}?") | _chat_openai(url, use_responses_api=False)
    chain.invoke({"number": 17})


def langchain_message(url: str) -> None:
    _chat_anthropic(url).invoke("Where is order 17?")


async def langchain_message_async(url: str) -> None:
    await _chat_anthropic(url).ainvoke("Where is order 17?")


def langchain_message_stream(url: str) -> None:
    list(_chat_anthropic(url).stream("Where is order 17?"))


def langchain_then_sdk(url: str) -> None:
    import openai

    langchain_chat(url)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        client.chat.completions.create(model=GPT, messages=MESSAGES)


def _litellm(url: str, model: str) -> dict[str, Any]:
    base = f"{url}/v1" if model.startswith("openai/") else url
    return {"model": model, "api_base": base, "api_key": "none", "messages": MESSAGES}


def litellm_chat(url: str) -> None:
    import litellm

    litellm.completion(**_litellm(url, f"openai/{GPT}"))


async def litellm_chat_async(url: str) -> None:
    import litellm

    await litellm.acompletion(**_litellm(url, f"openai/{GPT}"))
    await asyncio.sleep(0.5)  # its callbacks are tasks of their own


def litellm_message(url: str) -> None:
    import litellm

    litellm.completion(**_litellm(url, f"anthropic/{CLAUDE}"))


async def litellm_message_async(url: str) -> None:
    import litellm

    await litellm.acompletion(**_litellm(url, f"anthropic/{CLAUDE}"))
    await asyncio.sleep(0.5)


def litellm_message_stream(url: str) -> None:
    import litellm

    usage = {"include_usage": True}
    list(litellm.completion(**_litellm(url, f"anthropic/{CLAUDE}"), stream=True, stream_options=usage))


def litellm_both(url: str) -> None:
    for _ in range(2):
        litellm_chat(url)
        litellm_message(url)


def litellm_embeddings(url: str) -> None:
    import litellm

    litellm.embedding(
        model="openai/text-embedding-3-small", input=["Where is order 17?"], api_base=f"{url}/v1", api_key="none"
    )


async def agent(url: str) -> None:
    import openai
    from agents import Agent, OpenAIResponsesModel, Runner

    model = OpenAIResponsesModel(GPT, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    await Runner.run(Agent(name="clerk", model=model, instructions="Be brief."), "Where is order 17?")


async def agent_on_chat(url: str) -> None:
    import openai
    from agents import Agent, OpenAIChatCompletionsModel, Runner

    model = OpenAIChatCompletionsModel(GPT, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    await Runner.run(Agent(name="clerk", model=model, instructions="Be brief."), "Where is order 17?")


async def agent_streamed(url: str) -> None:
    import openai
    from agents import Agent, OpenAIResponsesModel, Runner

    model = OpenAIResponsesModel(GPT, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    run = Runner.run_streamed(Agent(name="clerk", model=model, instructions="Be brief."), "Where is order 17?")
    async for _ in run.stream_events():
        pass


async def agent_with_tool(url: str) -> None:
    import openai
    from agents import Agent, OpenAIResponsesModel, Runner, function_tool

    @function_tool
    def look_up(order: int) -> str:
        """Where an order is."""
        return f"{order} is on its way"

    model = OpenAIResponsesModel(GPT, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none"))
    clerk = Agent(name="clerk", model=model, instructions="Be brief.", tools=[look_up])
    await Runner.run(clerk, "Where is order 17?")
