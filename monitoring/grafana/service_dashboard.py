"""The Service dashboard: service level objectives, then rate, errors and duration, then saturation, then the router."""

from monitoring.grafana.panels import Dashboard, Prom, Row, lines, stat

VERSION = 'count_values by (instance, variant) ("version", model_version_number)'

PROMISES = Row(
    "Service level objectives",
    (
        stat(
            "Error budget left, 30 days",
            "1: untouched; 0: spent. Weighted by traffic.",
            Prom("slo:period_error_budget_remaining:ratio", "{{slo}}"),
            unit="percentunit",
            width=8,
        ),
        stat(
            "Burn rate, last hour",
            "1 spends the budget in exactly 30 days; 14.4 pages.",
            Prom("slo:current_burn_rate:ratio", "{{slo}}"),
            width=8,
        ),
        stat(
            "Requests",
            "Responses of the router, 5 minutes.",
            Prom('slo:total:rate5m{slo="availability"}', "requests"),
            unit="reqps",
            width=4,
        ),
        stat("Alerts", "Firing now.", Prom('sum(ALERTS{alertstate="firing"}) or vector(0)', "firing"), width=4),
        lines(
            "Share of requests that fail an objective",
            "Measured at the router, 5 minutes, with the budgets.",
            Prom("slo:sli_error:ratio_rate5m", "{{slo}}"),
            Prom("slo:error_budget:ratio", "{{slo}} budget"),
            unit="percentunit",
            width=24,
        ),
    ),
)

RED = Row(
    "Rate, errors, duration",
    (
        lines(
            "Answers by variant and status",
            "At the router, by assigned variant.",
            Prom(
                "sum by (assigned_variant, status) (rate(router_requests_total[$__rate_interval]))",
                "{{assigned_variant}} {{status}}",
            ),
            unit="reqps",
        ),
        lines(
            "Estimates by variant and version",
            "Of the services. The version is the number of the bundle: 3 for BO3.",
            Prom(
                "sum by (variant, version) (sum by (instance, variant) (rate(predictions_total[$__rate_interval]))"
                f" * on(instance, variant) group_left(version) {VERSION})",
                "{{variant}} {{version}}",
            ),
            Prom("variant:predictions:rate5m", "{{variant}}, 5 minutes"),
            unit="reqps",
        ),
        lines(
            "Requests that got no estimate",
            "invalid: the visitor's input; no_model: no model to answer with; model_error: the model failed.",
            Prom(  # `failed`: a former value, exported until the next release
                'sum by (variant, reason) (rate(prediction_errors_total{reason!="failed"}[$__rate_interval]))',
                "{{variant}} {{reason}}",
            ),
            Prom("variant:prediction_errors:ratio_rate5m", "{{variant}}, share of estimates"),
            unit="reqps",
        ),
        lines(
            "Duration at the router",
            "From request to response, as visitors experience it.",
            *(
                Prom(
                    f"histogram_quantile({q}, sum by (assigned_variant, le) (rate(router_prediction_duration_seconds_bucket[$__rate_interval])))",
                    f"{{{{assigned_variant}}}} {name}",
                )
                for q, name in (("0.5", "median"), ("0.95", "95 %"), ("0.99", "99 %"))
            ),
            unit="s",
        ),
        lines(
            "Duration in the service",
            "From request to estimate, inside a worker.",
            Prom("variant:prediction_duration_seconds:p50_5m", "{{variant}} median"),
            Prom("variant:prediction_duration_seconds:p99_5m", "{{variant}} 99 %"),
            unit="s",
        ),
        lines("In flight", "Requests being answered.", Prom("sum by (variant) (requests_in_flight)", "{{variant}}")),
        lines(
            "Homes in one batch request",
            "Median and 95th percentile.",
            *(
                Prom(
                    f"histogram_quantile({q}, sum by (variant, le) (increase(prediction_batch_homes_bucket[$__range])))",
                    f"{{{{variant}}}} {name}",
                )
                for q, name in (("0.5", "median"), ("0.95", "95 %"))
            ),
            width=24,
        ),
    ),
)

SATURATION = Row(
    "Saturation",
    (
        lines(
            "CPU of the machine",
            "In use.",
            Prom("max by (variant) (system_cpu_percent)", "{{variant}}"),
            unit="percent",
        ),
        lines(
            "Memory of the machine",
            "In use.",
            Prom("max by (variant) (system_memory_percent)", "{{variant}}"),
            unit="percent",
        ),
        lines("Disk", "Free.", Prom("disk:free:ratio", "{{place}} {{instance}}"), unit="percentunit"),
        lines(
            "Records waiting for PostgreSQL",
            "They normally leave within seconds; an alert fires on their age.",
            Prom("sum by (variant) (spool_records)", "{{variant}} records"),
            Prom("max by (variant) (spool_oldest_seconds)", "{{variant}} oldest, seconds"),
        ),
        lines(
            "Spool against its limit",
            "At 1, estimates continue without an id.",
            Prom("max by (variant) (spool_bytes) / on() group_left() max(homeprices_spool_limit_bytes)", "{{variant}}"),
            unit="percentunit",
        ),
        lines(
            "Records stored",
            "Taken out of the spool, by outcome.",
            Prom(  # the former values are exported until the next release
                'sum by (variant, outcome) (rate(spool_drained_total{outcome!~"refused|dropped"}[$__rate_interval]))',
                "{{variant}} {{outcome}}",
            ),
            unit="reqps",
        ),
        lines(
            "Estimates without a record",
            "Above zero: the spool or its disk is full, or no ids are left.",
            Prom("sum by (variant) (rate(predictions_unlogged_total[$__rate_interval]))", "{{variant}}"),
            unit="reqps",
        ),
        lines(
            "Visitors without a cookie",
            "New visitors that got no cookie: their network has had its number of this hour.",
            Prom("sum by (variant) (rate(cookies_withheld_total[$__rate_interval]))", "{{variant}}"),
            unit="reqps",
        ),
        lines(
            "Database, seen by the services",
            "1: answers.",
            Prom("min by (variant) (database_up)", "{{variant}}"),
        ),
        lines("Targets", "1: scraped.", Prom("min by (job) (up)", "{{job}}")),
    ),
)

ROUTER = Row(
    "Router",
    (
        lines(
            "Configuration changes",
            "Applied, refused by Nginx, or not confirmed by its port.",
            Prom("sum by (outcome) (increase(router_config_changes_total[$__rate_interval]))", "{{outcome}}"),
        ),
        lines(
            "Current configuration",
            "The revision that Nginx reports.",
            Prom("router_config_info == 1", "{{revision}}"),
        ),
        lines(
            "Nginx and its agent",
            "Nginx up; starts by the agent; damaged lines of the log; failed reads of the control record.",
            Prom("router_nginx_up", "Nginx up"),
            Prom("increase(router_nginx_starts_total[$__rate_interval])", "starts"),
            Prom("increase(router_log_lines_damaged_total[$__rate_interval])", "damaged lines"),
            Prom("router_control_record_failures", "failed reads"),
        ),
        lines(
            "Requests with an API key",
            "By key: allowed, refused (not valid, or without the scope), limited (over the quota).",
            Prom(
                "sum by (key, outcome) (rate(router_key_requests_total[$__rate_interval]))",
                "{{key}} {{outcome}}",
            ),
            unit="reqps",
        ),
        lines(
            "Time since the last use of an API key",
            "By key, of those that were used since the router's agent started.",
            Prom("time() - max by (key) (router_key_last_used_timestamp_seconds)", "{{key}}"),
            unit="s",
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-service",
    "Service",
    "Rate, errors, duration by variant and version; saturation; remaining error budgets.",
    (PROMISES, RED, SATURATION, ROUTER),
)
