"""Every span, attribute and metric name on the wire, with its type and unit.

The `gen_ai.*` names are those of OpenTelemetry's GenAI semantic conventions v0.1.0 (semantic-conventions-genai),
pinned here as literals because the constants in the Python package are deprecated. `taskmeter.*` is ours.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/0.1.0"
INSTRUMENTATION_NAME: Final = "taskmeter"
ANTHROPIC_SCOPE_PREFIX: Final = "com.anthropic.sdk.python"

# --- what a span is: `task`, `step`, `call`, `attempt`, `tool`, `charge`, `outcome` (string), on every span of ours
SPAN_KIND: Final = "taskmeter.span.kind"

# --- identity: on every span started inside a task, whoever starts it
TASK_ID: Final = "taskmeter.task.id"  # string
TASK_NAME: Final = "taskmeter.task.name"  # string, the workflow type
TASK_KEY: Final = "taskmeter.task.key"  # string, the business key, where set
CUSTOMER: Final = "taskmeter.customer"  # string, where set
TASK_REMOTE: Final = "taskmeter.task.remote"  # bool, where true: the task (of a task: its parent) is another process's

# --- task spans: `invoke_workflow {task name}`, INTERNAL
OPERATION: Final = "gen_ai.operation.name"  # string
OPERATION_TASK: Final = "invoke_workflow"
OPERATION_TOOL: Final = "execute_tool"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"  # string
AGENT_NAME: Final = "gen_ai.agent.name"  # string; the convention is moving here from `gen_ai.workflow.name`
PARENT_TASK_ID: Final = "taskmeter.task.parent.id"  # string, on nested tasks
LABEL_PREFIX: Final = "taskmeter.label."  # + label name, string
OUTCOME: Final = "taskmeter.task.outcome"  # succeeded | failed | abandoned | pending
OUTCOME_REASON: Final = "taskmeter.task.outcome.reason"  # string
VALUE: Final = "taskmeter.task.value"  # double, in the task's currency
QUALITY: Final = "taskmeter.task.quality"  # double, on a scale of the application's own
HUMAN_MINUTES: Final = "taskmeter.human_minutes"  # double; on tasks and steps all of it, on outcomes their own
OUTCOME_SEQUENCE: Final = "taskmeter.outcome.sequence"  # int, on outcomes: the order of those of one time and process

# --- step spans: `step {name}`, INTERNAL
STEP_NAME: Final = "taskmeter.step.name"  # string
STEP_DISCARDED: Final = "taskmeter.step.discarded"  # bool
STEP_DISCARD_REASON: Final = "taskmeter.step.discarded.reason"  # string

# --- the roll-up, on task and step spans only; amounts are doubles in `taskmeter.cost.currency`
COST_TOTAL: Final = "taskmeter.cost.total"  # double, nested tasks included
COST_SELF: Final = "taskmeter.cost.self"  # double, without nested tasks
COST_LIST: Final = "taskmeter.cost.list"  # double, total at list prices
COST_CONTRACTED: Final = "taskmeter.cost.contracted"  # double, total at contracted prices
COST_WASTED: Final = "taskmeter.cost.wasted"  # double, part of total
COST_ESTIMATED: Final = "taskmeter.cost.estimated"  # double, part of total
COST_CURRENCY: Final = "taskmeter.cost.currency"  # ISO 4217 code
COST_CATEGORY_PREFIX: Final = "taskmeter.cost."  # + model | tools | retrieval | human | other, double
COST_EXACT: Final = "taskmeter.cost.exact"  # decimal string: on leaves their amount, on tasks and steps their total
COST_SELF_EXACT: Final = "taskmeter.cost.self.exact"  # decimal string, on tasks
COST_WASTED_EXACT: Final = "taskmeter.cost.wasted.exact"  # decimal string, on tasks and steps
WASTE_PREFIX: Final = "taskmeter.waste."  # + waste class, double, where it is not 0: a part of `taskmeter.cost.wasted`
WASTE_EXACT_SUFFIX: Final = ".exact"  # the same as a decimal string
REASKS: Final = "taskmeter.reasks"  # int, where there are any
REASK_REASON: Final = "taskmeter.reask.reason"  # string, the last that `retry` was told
DUPLICATE_CALLS: Final = "taskmeter.duplicate_calls"  # int, where there are any
LOOPED_TOOL_RUNS: Final = "taskmeter.looped_tool_runs"  # int, where there are any
GROWING_TURNS: Final = "taskmeter.growing_turns"  # int, where there are as many as the setting says
USAGE_INPUT: Final = "taskmeter.usage.input_tokens"  # int, cached included
USAGE_CACHE_READ: Final = "taskmeter.usage.cache_read_tokens"  # int
USAGE_CACHE_WRITE: Final = "taskmeter.usage.cache_write_tokens"  # int
USAGE_OUTPUT: Final = "taskmeter.usage.output_tokens"  # int, reasoning included
USAGE_REASONING: Final = "taskmeter.usage.reasoning_tokens"  # int
CALLS: Final = "taskmeter.calls"  # int
ATTEMPTS: Final = "taskmeter.attempts"  # int
RETRIES: Final = "taskmeter.retries"  # int
RETRY_SECONDS: Final = "taskmeter.retry_seconds"  # double, attempts that were repeated and waits; also on calls, if any
EXPOSED_ATTEMPTS: Final = "taskmeter.exposed_attempts"  # int, unanswered, maybe billed; also on calls, if any
TOOL_RUNS: Final = "taskmeter.tool_runs"  # int
COST_REASONING: Final = "taskmeter.cost.reasoning"  # double, part of model; where not 0, also on calls
CACHE_SAVED: Final = (
    "taskmeter.cost.cache_saved"  # double, less than plain input, net of writes; where not 0, also on calls
)
UNPRICED_CALLS: Final = "taskmeter.unpriced_calls"  # int

# --- budgets, on task spans that have or draw on one; nested tasks included
BUDGET_USD: Final = "taskmeter.budget.usd"  # double, the limit of the task's own budget
BUDGET_TOKENS: Final = "taskmeter.budget.tokens"  # int, likewise
BUDGET_CALLS: Final = "taskmeter.budget.calls"  # int, likewise
BUDGET_SECONDS: Final = "taskmeter.budget.seconds"  # double, likewise
BUDGET_SPENT_USD: Final = "taskmeter.budget.spent.usd"  # double, spent of it
BUDGET_SPENT_TOKENS: Final = "taskmeter.budget.spent.tokens"  # int, likewise
BUDGET_SPENT_CALLS: Final = "taskmeter.budget.spent.calls"  # int, likewise
BUDGET_EXPOSED_USD: Final = "taskmeter.budget.exposed.usd"  # double, held for what may be billed, where there is any
BUDGET_STOPPED: Final = "taskmeter.budget.stopped"  # usd | tokens | calls | seconds | unpriced | store: the last stop
BUDGET_STOPPED_BY: Final = "taskmeter.budget.stopped.by"  # string, the owner of that budget
BUDGET_STOPPED_CALLS: Final = "taskmeter.budget.stopped_calls"  # int, calls that were not sent
BUDGET_DEGRADED_CALLS: Final = "taskmeter.budget.degraded_calls"  # int, calls that were changed
BUDGET_UNPRICED_CALLS: Final = "taskmeter.budget.unpriced_calls"  # int, calls that a limit in money does not cover
BUDGET_WARNED: Final = "taskmeter.budget.warned"  # as `stopped`: a limit that was gone over, as on_exceeded allows

# --- budgets, on calls
BUDGET_DEGRADED: Final = "taskmeter.budget.degraded"  # string, what a budget changed of the request
BUDGET_REQUESTED_MODEL: Final = "taskmeter.budget.requested_model"  # string, what the application had asked for

# --- call spans: `{operation} {model}`, CLIENT
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"  # bool
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"  # string[]
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # double, seconds
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"  # int, cached included
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"  # int, reasoning included
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"  # int
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"  # int
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"  # int
CALL_COST: Final = "gen_ai.usage.cost.amount"  # double; on calls only, so a backend that sums it counts a dollar once
CALL_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
CALL_COST_SOURCE: Final = "gen_ai.usage.cost.source"  # local | provider
CALL_COST_LIST: Final = "taskmeter.cost.list_amount"  # double, the call at list prices
CALL_COST_CONTRACTED: Final = "taskmeter.cost.contracted_amount"  # double, before commitment discounts
COST_STATUS: Final = "taskmeter.cost.status"  # exact | estimated | partial | unpriced | provisioned
COST_REASON: Final = "taskmeter.cost.status.reason"  # string, where the status is not exact
PRICE_ORIGIN: Final = "taskmeter.price.origin"  # string: which price data
PRICE_TERMS: Final = "taskmeter.price.terms"  # JSON string, where not standard: {"service_tier": "flex"}
COST_PARTS: Final = "taskmeter.cost.parts"  # JSON string: {part that the usage does not tell: [count, exact amount]}
WASTE_CLASS: Final = "taskmeter.waste.class"  # string, on leaves that are waste by themselves; metric attribute
COST_LATE: Final = "taskmeter.cost.is_late"  # bool, on leaves that were booked after their task had ended
BATCH_ITEMS: Final = "taskmeter.batch.items"  # int, on a call that stands for the results of a batch
BATCH_UNPRICED_ITEMS: Final = "taskmeter.batch.unpriced_items"  # int, of those, where there are any
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"  # int
ERROR_TYPE: Final = "error.type"

FINGERPRINT: Final = "taskmeter.call.fingerprint"  # string, 16 hex digits: the same for a request repeated; keyed

# --- what the input of calls was made of: on calls, tasks and steps, where not 0
CONTEXT_TOKENS: Final = "taskmeter.context.{source}_tokens"  # int; a source is one of `records.SOURCES`
CONTEXT_COST: Final = "taskmeter.context.{source}_cost"  # double, on tasks and steps; on calls see `CONTEXT_SHARES`
CONTEXT_CARRIED_TOKENS: Final = "taskmeter.context.carried_tokens"  # int, that an earlier call of the task sent already
CONTEXT_CARRIED_COST: Final = "taskmeter.context.carried_cost"  # double, on tasks and steps
CONTEXT_UNMEASURED: Final = "taskmeter.context.unmeasured_calls"  # int, on tasks and steps: calls in none of these
CONTEXT_SHARES: Final = "taskmeter.context.shares"  # JSON string, on calls: {share: [tokens, exact cost or null]}
# --- only with `configure(content=...)`: JSON in the convention's form, on calls and tool runs
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
CONTENT_CUT: Final = "taskmeter.content.cut"  # bool, where true: some of it is not recorded, for its length

# --- attempt spans: `attempt {n}`, CLIENT, child of their call, only for attempts that failed
HTTP_STATUS: Final = "http.response.status_code"  # int
RESEND_COUNT: Final = "http.request.resend_count"  # int, absent on the first
ATTEMPT_WAIT: Final = "taskmeter.attempt.wait_seconds"  # double, slept before the next attempt
POSSIBLY_BILLED: Final = "taskmeter.attempt.possibly_billed"  # bool, where true: sent, never answered; also on calls

# --- tool runs: `execute_tool {name}`, INTERNAL; charges: `charge {item}`, INTERNAL
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
LEAF_COST: Final = "taskmeter.cost.amount"  # double, on tool runs and charges
CHARGE_CATEGORY: Final = "taskmeter.charge.category"
CHARGE_ITEM: Final = "taskmeter.charge.item"
CHARGE_QUANTITY: Final = "taskmeter.charge.quantity"  # double
CHARGE_UNIT: Final = "taskmeter.charge.unit"

# --- metrics
METRIC_CALL_DURATION: Final = "gen_ai.client.operation.duration"  # histogram, s
METRIC_TOKENS: Final = "gen_ai.client.token.usage"  # histogram, {token}
METRIC_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"  # histogram, s
METRIC_TOOL_DURATION: Final = "gen_ai.execute_tool.duration"  # histogram, s
METRIC_TASK_DURATION: Final = "gen_ai.invoke_workflow.duration"  # histogram, s
METRIC_COST: Final = "taskmeter.cost"  # counter, {USD}
METRIC_LATE_COST: Final = "taskmeter.late_cost"  # counter, {USD}: part of `taskmeter.cost`
METRIC_TASK_COST: Final = "taskmeter.task.cost"  # histogram, {USD}
METRIC_TASKS: Final = "taskmeter.tasks"  # counter, {task}
METRIC_OUTCOMES: Final = "taskmeter.outcomes"  # counter, {outcome}: those recorded apart from a task's end
METRIC_RETRIES: Final = "taskmeter.retries"  # counter, {retry}
METRIC_FAULTS: Final = "taskmeter.faults"  # counter, {fault}, observed: of our own
METRIC_HOOKS_OFF: Final = (
    "taskmeter.hooks.off"  # gauge, {hook}, observed: 1 for each turned off after faults of our own
)
METRIC_EXPORT_DROPPED: Final = "taskmeter.export.dropped"  # counter, {span}, observed: lost on the way out
EXPORT_DESTINATION: Final = "taskmeter.export.destination"  # spool | otlp, metric attribute
EXPORT_REASON: Final = "taskmeter.export.reason"  # string, metric attribute
FAULT_PLACE: Final = "taskmeter.fault.place"  # string, metric attribute
HOOK: Final = "taskmeter.hook"  # string, metric attribute
TOKEN_TYPE: Final = "gen_ai.token.type"  # input | output  # noqa: S105 - a name, not a secret
COST_WASTED_FLAG: Final = "taskmeter.cost.wasted"  # bool, metric attribute
COST_CATEGORY: Final = "taskmeter.cost.category"  # string, metric attribute
