"""`taskmeter whatif`."""

from __future__ import annotations

from pathlib import Path

import click

from taskmeter import _config, pricing
from taskmeter.cli.options import format_option, spool_option
from taskmeter.cli.reports import OutputFormat, opened, print_result, since_option, source_option, until_option
from taskmeter.errors import UsageError
from taskmeter.reports import scenario_texts
from taskmeter.reports.scenario_texts import CACHE_RATES, SPREAD
from taskmeter.reports.suggestions import suggest as make_suggestions
from taskmeter.reports.whatif import what_if


@click.command
@click.option("--route", multiple=True, metavar="STEP:MODEL=NEW[@70%]", help="Another model answers these calls.")
@click.option("--price", multiple=True, metavar="MODEL=x5", help="Prices change: x5, x0.5, +10%, -20%.")
@click.option("--prices-of", metavar="DAY", help="All calls at the prices of one day, as in 2026-11-01.")
@click.option("--batch", multiple=True, metavar="STEP[:MODEL][@70%]", help="These calls can wait for a batch.")
@click.option("--flex", multiple=True, metavar="STEP[:MODEL][@70%]", help="These calls can go by the flex tier.")
@click.option(
    "--cache",
    is_flag=False,
    flag_value=CACHE_RATES,
    metavar="[LOW%-HIGH%]",
    help=f"What a task sends again comes from a prompt cache, that often; {CACHE_RATES} if not said.",
)
@click.option(
    "--response-cache",
    metavar="exact|RATE",
    help="Requests sent before are answered from a cache: the same ones (exact), or a share of all (20%, 15%-25%).",
)
@click.option("--context", multiple=True, metavar="SOURCE=-60%", help="Less of a source of input is sent.")
@click.option("--model-price", multiple=True, metavar="NAME=IN/OUT[/CACHED]", help="A model's USD per million tokens.")
@click.option(
    "--success",
    multiple=True,
    metavar="[WORKFLOW=]-5%|85%",
    help="How the success rate changes: points less or more, or the rate.",
)
@click.option(
    "--token-spread",
    default=SPREAD,
    show_default=True,
    help="How many more or fewer tokens another provider's tokeniser may make.",
)
@click.option(
    "--length-spread",
    default=SPREAD,
    show_default=True,
    help="How much longer or shorter another model's answers may be.",
)
@click.option("--suggest", is_flag=True, help="Instead: which steps a cheaper model might do, by saving.")
@since_option
@until_option
@source_option
@spool_option
@format_option
def whatif(  # noqa: PLR0913 - a change each
    *,
    route: tuple[str, ...],
    price: tuple[str, ...],
    prices_of: str | None,
    batch: tuple[str, ...],
    flex: tuple[str, ...],
    cache: str | None,
    response_cache: str | None,
    context: tuple[str, ...],
    model_price: tuple[str, ...],
    success: tuple[str, ...],
    token_spread: str,
    length_spread: str,
    since: int | None,
    until: int | None,
    source: str | None,
    spool: Path,
    output: OutputFormat,
    suggest: bool,
) -> None:
    """What recorded tasks would have cost with other models, prices, caches or less context.

    Changes act in this order: response cache, context, route, cache, batch, flex, prices of, price; each sees what
    those before made.
    """
    changes = scenario_texts.scenarios(
        response_cache=response_cache,
        context=context,
        route=route,
        cache=cache,
        batch=batch,
        flex=flex,
        prices_of=prices_of,
        price=price,
        spreads=(token_spread, length_spread),
    )
    if bool(changes) is suggest:
        raise UsageError(
            "--suggest makes a report of its own: leave it out to try changes"
            if suggest
            else "taskmeter whatif needs a change, as in --route 'classify:*=gpt-5-nano', or --suggest"
        )
    stated = scenario_texts.model_prices(model_price)
    rates = [scenario_texts.success(text) for text in success]
    pricing.use(_config.prices_from_environment())
    with opened(source, spool) as warehouse:
        if suggest:
            print_result(make_suggestions(warehouse, since_ns=since, until_ns=until), output)
        else:
            result = what_if(warehouse, changes, success=rates, stated=stated, since_ns=since, until_ns=until)
            print_result(result, output)
