"""Budgets that processes share, in Redis.

An account is a hash: what is spent (`s1` to `s3`: money, tokens, calls), exposed (`e...`) and reserved (`r...`).
Beside it stands a sorted set of its reservations, by the time at which they are given back, as those of processes that
died. One script reserves in all accounts of a call or in none, another settles it once, however often it is sent. Money
is in whole nano-USD: Lua counts in doubles, which are exact up to 9 million USD of those.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, Literal, cast

from taskmeter.account.budget import UNITS, Amounts
from taskmeter.account.store import SharedDraw, SharedRefused
from taskmeter.account.tally import Outlay, State
from taskmeter.errors import MissingDependencyError, UsageError

MOST_OWED: Final = 10_000
"""Settlements that wait for Redis to answer again. Of more, the oldest are lost."""
_MOST_AT_ONCE: Final = 20
"""Of those that one call tells it."""
_NANO: Final = Decimal(10) ** 9
_EXACT: Final = Context(prec=60)

_EXPIRE: Final = """
local now = tonumber(redis.call('TIME')[1])
local function add(key, field, amount)
  if amount ~= 0 then redis.call('HINCRBY', key, field, string.format('%.0f', amount)) end
end
local function release(key, held, member)
  if redis.call('ZREM', held, member) == 1 then
    local unit = 0
    for amount in string.gmatch(member, ':(%d+)') do
      unit = unit + 1
      add(key, 'r' .. unit, -tonumber(amount))
    end
  end
end
"""
_RESERVE: Final = (
    _EXPIRE
    + """
-- KEYS: account, its reservations, and so on. ARGV: lease, and for each: member, lifetime, 3 amounts, 3 limits or ''
for i = 1, #KEYS / 2 do
  local key, held, at = KEYS[2 * i - 1], KEYS[2 * i], 8 * (i - 1) + 1
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', 0, 1000)) do
    release(key, held, member)
  end
  for unit = 1, 3 do
    local limit = tonumber(ARGV[at + 5 + unit])
    local had = redis.call('HMGET', key, 's' .. unit, 'e' .. unit, 'r' .. unit)
    local sum = (tonumber(had[1]) or 0) + (tonumber(had[2]) or 0) + (tonumber(had[3]) or 0)
    if limit and sum + tonumber(ARGV[at + 2 + unit]) > limit then
      return {i, unit, redis.call('HMGET', key, 's1', 's2', 's3', 'e1', 'e2', 'e3', 'r1', 'r2', 'r3')}
    end
  end
end
for i = 1, #KEYS / 2 do
  local key, held, at = KEYS[2 * i - 1], KEYS[2 * i], 8 * (i - 1) + 1
  for unit = 1, 3 do add(key, 'r' .. unit, tonumber(ARGV[at + 2 + unit])) end
  redis.call('ZADD', held, now + tonumber(ARGV[1]), ARGV[at + 1])
  if ARGV[at + 2] ~= '' then
    redis.call('EXPIRE', key, ARGV[at + 2])
    redis.call('EXPIRE', held, ARGV[at + 2])
  end
end
return {}
"""
)
_SETTLE: Final = (
    _EXPIRE
    + """
-- KEYS: the mark that this was done, then account, its reservations, and so on.
-- ARGV: lease, and for each: member, lifetime, 3 amounts spent, 3 amounts exposed
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then return 0 end
for i = 1, (#KEYS - 1) / 2 do
  local key, held, at = KEYS[2 * i], KEYS[2 * i + 1], 8 * (i - 1) + 1
  release(key, held, ARGV[at + 1])
  for unit = 1, 3 do
    add(key, 's' .. unit, tonumber(ARGV[at + 2 + unit]))
    add(key, 'e' .. unit, tonumber(ARGV[at + 5 + unit]))
  end
  if ARGV[at + 2] ~= '' then redis.call('EXPIRE', key, ARGV[at + 2]) end
end
return 1
"""
)

Call = tuple[list[str], list[str | int]]
"""Keys and arguments of a script."""


class RedisBudgets:
    """Keeps the budgets of `configure(budgets=..., budget_store=RedisBudgets("redis://..."))` for all processes.

    `on_failure` says what happens to a call while Redis does not answer: `"allow"` lets it go on, `"stop"` stops it
    with `BudgetExceeded`. No answer is waited for longer than `timeout_seconds`, and after one that did not come Redis
    is left alone for `retry_seconds`: what calls cost meanwhile is kept, and told when it answers again. What a process
    reserved that then died is given back after `lease_seconds`, which have to be more than the longest call takes.
    `prefix` begins every key; its braces keep them on one node of a cluster. Needs the extra `redis`, Redis 5 or later.
    Raises `UsageError` for a setting that makes no sense, `MissingDependencyError` without the extra.
    """

    def __init__(
        self,
        url: str,
        *,
        on_failure: Literal["allow", "stop"] = "allow",
        timeout_seconds: float = 0.25,
        retry_seconds: float = 5.0,
        lease_seconds: int = 900,
        prefix: str = "taskmeter:{budgets}:",
    ) -> None:
        if on_failure not in ("allow", "stop"):
            raise UsageError(f"on_failure={on_failure!r} must be 'allow' or 'stop'")
        numbers = {"timeout_seconds": timeout_seconds, "retry_seconds": retry_seconds, "lease_seconds": lease_seconds}
        for argument, value in numbers.items():
            if not value > 0:
                raise UsageError(f"{argument}={value!r} must be a positive number of seconds")
        self.fail_open = on_failure == "allow"
        """Whether calls go on while Redis does not answer."""
        self.largest_usd: Decimal | None = Decimal(9_000_000)
        """What Lua's doubles count exactly in nano-USD."""
        self._prefix = prefix
        self._lease = int(lease_seconds)
        self._retry_seconds = retry_seconds
        self._down_until = 0.0
        self._owed: deque[Call] = deque(maxlen=MOST_OWED)
        client = _client(url, timeout_seconds)
        self._redis = client
        self._reserve, self._settle = client.register_script(_RESERVE), client.register_script(_SETTLE)

    def reserve(self, hold: str, draws: Sequence[SharedDraw]) -> SharedRefused | None:
        """See `BudgetStore`. Raises what the client raises, or `ConnectionError` while Redis is left alone."""
        keys: list[str] = []
        arguments: list[str | int] = [self._lease]
        for draw in draws:
            keys += self._keys(draw.key)
            limits = ["" if limit is None else limit for limit in _integers(draw.limits)]
            arguments += [_member(hold, draw.amounts), self._lifetime(draw), *_reserved(draw.amounts), *limits]
        found = cast("list[Any]", self._ask(self._reserve, (keys, arguments)))
        self._pay()
        if not found:
            return None
        number, unit, counts = found
        return SharedRefused(number - 1, UNITS[unit - 1], _state(counts))

    def settle(self, hold: str, draws: Sequence[SharedDraw], came_to: Outlay) -> None:
        """See `BudgetStore`. What Redis does not take now it is told later."""
        keys = [f"{self._prefix}settled:{hold}"]
        arguments: list[str | int] = [self._lease]
        for draw in draws:
            keys += self._keys(draw.key)
            spent, exposed = _integers(came_to.spent), _reserved(came_to.exposed(draw.amounts))
            arguments += [_member(hold, draw.amounts), self._lifetime(draw), *map(str, spent), *exposed]
        call = keys, arguments
        try:
            self._ask(self._settle, call)
        except Exception:
            self._owed.append(call)
            raise

    def state(self, key: str) -> State:
        """How an account stands: `process`, `task=resolve_ticket`, `customer=acme`; see `BudgetStore`."""
        fields = [f"{kind}{unit}" for kind in "ser" for unit in (1, 2, 3)]
        return _state(cast("list[Any]", self._try(lambda: self._redis.hmget(self._keys(key)[0], fields))))

    def _pay(self) -> None:
        """Tells Redis, which answers again, what it was not told before."""
        for _ in range(min(len(self._owed), _MOST_AT_ONCE)):
            try:
                call = self._owed.popleft()
            except IndexError:
                return
            try:
                self._ask(self._settle, call)
            except Exception:  # noqa: BLE001 - it is told later
                self._owed.appendleft(call)
                return

    def _ask(self, script: Any, call: Call) -> object:
        return self._try(lambda: script(keys=call[0], args=call[1]))

    def _try(self, ask: Any) -> object:
        if time.monotonic() < self._down_until:
            raise ConnectionError("Redis did not answer a moment ago")
        try:
            return ask()
        except Exception:
            self._down_until = time.monotonic() + self._retry_seconds
            raise

    def _keys(self, key: str) -> list[str]:
        return [f"{self._prefix}{key}", f"{self._prefix}{key}:held"]

    def _lifetime(self, draw: SharedDraw) -> str:
        """Seconds for which an account is kept: calls that were reserved in its period may end later."""
        return "" if draw.ends_at is None else str(max(1, int(draw.ends_at - time.time())) + 2 * self._lease)

    def __repr__(self) -> str:
        return f"RedisBudgets(prefix={self._prefix!r}, on_failure={'allow' if self.fail_open else 'stop'!r})"


def _client(url: str, timeout_seconds: float) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingDependencyError("redis", "redis", "RedisBudgets") from error
    try:
        return cast(Any, redis.Redis).from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            "the URL of RedisBudgets makes no sense; pass one such as 'redis://localhost:6379/0'"
        ) from error


def _integers(amounts: Sequence[Decimal | int | None]) -> list[int | None]:
    """In nano-USD, tokens, calls; money to the nearest."""
    usd, tokens, calls = amounts
    return [None if usd is None else _nano(cast("Decimal", usd), ROUND_HALF_EVEN), cast(Any, tokens), cast(Any, calls)]


def _reserved(amounts: Amounts) -> list[int]:
    """The same of what is reserved: money rounded up."""
    return [_nano(amounts.usd, ROUND_CEILING), amounts.tokens, amounts.calls]


def _nano(usd: Decimal, rounding: str) -> int:
    return int(_EXACT.multiply(usd, _NANO).to_integral_value(rounding=rounding))


def _member(hold: str, amounts: Amounts) -> str:
    return ":".join([hold, *map(str, _reserved(amounts))])


def _state(found: Sequence[Any]) -> State:
    counts = [int(each or 0) for each in found]
    money = [_EXACT.divide(Decimal(count), _NANO) for count in counts[::3]]
    return State(*(Amounts(money[at], counts[3 * at + 1], counts[3 * at + 2]) for at in range(3)))
