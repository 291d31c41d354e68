-- Columns for what taskmeter's reports read of the Collector's `otel_traces` table, and an index that finds the spans of
-- tasks among all others. Reports use them where they are, and read the attribute map where they are not.
--   clickhouse-client --database otel --queries-file clickhouse.sql
-- Columns are filled for spans that come from then on, and read from the map for older ones;
-- `ALTER TABLE otel_traces MATERIALIZE INDEX taskmeter_spans` lets the index find those too.

ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_span_kind Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.span.kind'), SpanAttributes['taskmeter.span.kind'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_id Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.id'), SpanAttributes['taskmeter.task.id'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_name Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.name'), SpanAttributes['taskmeter.task.name'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_key Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.key'), SpanAttributes['taskmeter.task.key'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_customer Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.customer'), SpanAttributes['taskmeter.customer'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_parent_id Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.parent.id'), SpanAttributes['taskmeter.task.parent.id'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_outcome Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.outcome'), SpanAttributes['taskmeter.task.outcome'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_outcome_reason Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.outcome.reason'), SpanAttributes['taskmeter.task.outcome.reason'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_step_name Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.step.name'), SpanAttributes['taskmeter.step.name'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_provider_name Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.provider.name'), SpanAttributes['gen_ai.provider.name'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_request_model Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.request.model'), SpanAttributes['gen_ai.request.model'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_response_model Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.response.model'), SpanAttributes['gen_ai.response.model'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_charge_category Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.charge.category'), SpanAttributes['taskmeter.charge.category'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_charge_unit Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.charge.unit'), SpanAttributes['taskmeter.charge.unit'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_currency Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.currency'), SpanAttributes['taskmeter.cost.currency'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_cost_currency Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.usage.cost.currency'), SpanAttributes['gen_ai.usage.cost.currency'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.exact'), SpanAttributes['taskmeter.cost.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_self_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.self.exact'), SpanAttributes['taskmeter.cost.self.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_wasted_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.wasted.exact'), SpanAttributes['taskmeter.cost.wasted.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_retry_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.retry.exact'), SpanAttributes['taskmeter.waste.retry.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_failed_call_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.failed_call.exact'), SpanAttributes['taskmeter.waste.failed_call.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_aborted_stream_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.aborted_stream.exact'), SpanAttributes['taskmeter.waste.aborted_stream.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_duplicate_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.duplicate.exact'), SpanAttributes['taskmeter.waste.duplicate.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_loop_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.loop.exact'), SpanAttributes['taskmeter.waste.loop.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_reask_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.reask.exact'), SpanAttributes['taskmeter.waste.reask.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_discarded_step_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.discarded_step.exact'), SpanAttributes['taskmeter.waste.discarded_step.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_failed_task_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.failed_task.exact'), SpanAttributes['taskmeter.waste.failed_task.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_abandoned_task_exact Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.abandoned_task.exact'), SpanAttributes['taskmeter.waste.abandoned_task.exact'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_waste_class Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.waste.class'), SpanAttributes['taskmeter.waste.class'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_status Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.status'), SpanAttributes['taskmeter.cost.status'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_price_origin Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.price.origin'), SpanAttributes['taskmeter.price.origin'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS error_type Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'error.type'), SpanAttributes['error.type'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_cost_source Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.usage.cost.source'), SpanAttributes['gen_ai.usage.cost.source'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_price_terms Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.price.terms'), SpanAttributes['taskmeter.price.terms'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_parts Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.parts'), SpanAttributes['taskmeter.cost.parts'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_call_fingerprint Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.call.fingerprint'), SpanAttributes['taskmeter.call.fingerprint'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_shares Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.context.shares'), SpanAttributes['taskmeter.context.shares'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_usage_input_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.usage.input_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_usage_cache_read_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.usage.cache_read_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_usage_output_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.usage.output_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_usage_reasoning_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.usage.reasoning_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_calls Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.calls']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_retries Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.retries']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_exposed_attempts Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.exposed_attempts']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_unpriced_calls Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.unpriced_calls']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_reasks Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.reasks']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_duplicate_calls Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.duplicate_calls']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_looped_tool_runs Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.looped_tool_runs']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_growing_turns Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.growing_turns']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_input_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['gen_ai.usage.input_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_output_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['gen_ai.usage.output_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_cache_read_input_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['gen_ai.usage.cache_read.input_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_cache_write_input_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['gen_ai.usage.cache_write.input_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_reasoning_output_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['gen_ai.usage.reasoning.output_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS http_request_resend_count Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['http.request.resend_count']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_outcome_sequence Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.outcome.sequence']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_system_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.system_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_tools_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.tools_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_history_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.history_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_user_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.user_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_documents_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.documents_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_tool_results_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.tool_results_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_media_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.media_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_context_carried_tokens Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.context.carried_tokens']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_batch_items Nullable(Int64)
    MATERIALIZED toInt64OrNull(SpanAttributes['taskmeter.batch.items']);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_value Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.value'), SpanAttributes['taskmeter.task.value'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_quality Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.task.quality'), SpanAttributes['taskmeter.task.quality'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_human_minutes Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.human_minutes'), SpanAttributes['taskmeter.human_minutes'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_estimated Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.estimated'), SpanAttributes['taskmeter.cost.estimated'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS gen_ai_usage_cost_amount Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'gen_ai.usage.cost.amount'), SpanAttributes['gen_ai.usage.cost.amount'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_list_amount Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.list_amount'), SpanAttributes['taskmeter.cost.list_amount'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_reasoning Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.reasoning'), SpanAttributes['taskmeter.cost.reasoning'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_cache_saved Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.cost.cache_saved'), SpanAttributes['taskmeter.cost.cache_saved'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_charge_quantity Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.charge.quantity'), SpanAttributes['taskmeter.charge.quantity'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_retry_seconds Nullable(String)
    MATERIALIZED CAST(if(mapContains(SpanAttributes, 'taskmeter.retry_seconds'), SpanAttributes['taskmeter.retry_seconds'], NULL) AS Nullable(String));
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_task_remote Nullable(Bool)
    MATERIALIZED if(mapContains(SpanAttributes, 'taskmeter.task.remote'), SpanAttributes['taskmeter.task.remote'] = 'true', NULL);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_step_discarded Nullable(Bool)
    MATERIALIZED if(mapContains(SpanAttributes, 'taskmeter.step.discarded'), SpanAttributes['taskmeter.step.discarded'] = 'true', NULL);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_cost_is_late Nullable(Bool)
    MATERIALIZED if(mapContains(SpanAttributes, 'taskmeter.cost.is_late'), SpanAttributes['taskmeter.cost.is_late'] = 'true', NULL);
ALTER TABLE `otel_traces` ADD COLUMN IF NOT EXISTS taskmeter_labels String
    MATERIALIZED toJSONString(mapApply((k, v) -> (k, map('stringValue', v)), mapFilter((k, v) -> startsWith(k, 'taskmeter.label.'), SpanAttributes)));
ALTER TABLE `otel_traces` ADD INDEX IF NOT EXISTS taskmeter_spans (taskmeter_span_kind, taskmeter_task_id) TYPE minmax GRANULARITY 1;
