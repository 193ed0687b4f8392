"""The Business dashboard: demand, homes, feedback and satisfaction."""

from homeprices.pricing.inputs import AREA, COUNTS, INPUT, LOCATION
from homeprices.words import ADDED, COUNTED, DEMAND, ITEMS, PRICE_UNIT, RATE, RATE_NOTE
from monitoring.grafana.panels import Dashboard, Prom, Row, Sql, bars, lines, stat, table

WINDOW = "WHERE $__timeFilter(ts)"
FEEDBACK_SHARE = (
    "SELECT (SELECT count(DISTINCT prediction_id) FROM user_feedback WHERE $__timeFilter(ts))::float\n"
    f"  / nullif((SELECT count(*) FROM prediction_logs {WINDOW}), 0) AS share"
)
ACTUAL = (
    "FROM user_feedback JOIN prediction_logs ON prediction_logs.id = prediction_id\n"
    "WHERE $__timeFilter(user_feedback.ts) AND feedback_type = 'actual_price' AND verified AND feedback_value > 0"
)

TRAFFIC = Row(
    "Demand",
    (
        stat(
            "Estimates",
            "Within the window of the page.",
            Sql(f"SELECT count(*) AS estimates FROM prediction_logs {WINDOW}"),
        ),
        stat(
            "Visitors",
            "Within the window of the page.",
            Sql(
                f"SELECT count(DISTINCT visitor) FILTER (WHERE returning_visitor IS NOT FALSE) AS visitors FROM prediction_logs {WINDOW}"
            ),
        ),
        stat(
            "Estimates with feedback",
            "Share of the estimates with any feedback.",
            Sql(FEEDBACK_SHARE),
            unit="percentunit",
        ),
        stat(
            "Satisfaction",
            "Mean of the verified ratings, 1 to 5 stars.",
            Sql(
                f"SELECT avg(feedback_value) AS stars FROM user_feedback {WINDOW} AND feedback_type = 'rating' AND verified"
            ),
            decimals=2,
        ),
        lines(
            "Estimates and visitors",
            "In each interval.",
            Sql(
                "SELECT $__timeGroupAlias(ts, $__interval), count(*) AS estimates, count(DISTINCT visitor) FILTER (WHERE returning_visitor IS NOT FALSE) AS visitors\n"
                f"FROM prediction_logs {WINDOW} GROUP BY 1 ORDER BY 1"
            ),
            width=24,
        ),
    ),
)

HOMES = Row(
    ITEMS.capitalize(),
    (
        table(
            f"Estimates by {DEMAND[0]}",
            f"The most frequent {DEMAND[1]}; median estimate in {PRICE_UNIT}, and {RATE_NOTE}.",
            Sql(
                f"SELECT inputs->>'{LOCATION}' AS {DEMAND[0]}, count(*) AS estimates,\n"
                f"  round(percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate)::numeric, 1) AS median_{ADDED},\n"
                f"  round(percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate * {COUNTED} / nullif((inputs->>'{AREA}')::float, 0))::numeric)\n"
                f"    AS {RATE}\n"
                f"FROM prediction_logs {WINDOW} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 25"
            ),
        ),
        *(
            bars(
                f"Estimates by {INPUT[name].noun}",
                f"{INPUT[name].drift_name.capitalize()} in the requests.",
                Sql(
                    f"SELECT inputs->>'{name}' AS {name}, count(*) AS estimates FROM prediction_logs {WINDOW} GROUP BY 1 ORDER BY 1 LIMIT 20"
                ),
                width=12,
            )
            for name in COUNTS[:1]
        ),
    ),
)

OPINION = Row(
    "Feedback",
    (
        lines(
            "Feedback by kind",
            "As received by the services.",
            Prom("sum by (feedback_type) (rate(feedback_total[$__rate_interval]))", "{{feedback_type}}"),
            unit="reqps",
        ),
        lines(
            "Satisfaction over time",
            "Mean of the verified ratings.",
            Sql(
                "SELECT $__timeGroupAlias(ts, $__interval), avg(feedback_value) AS stars\n"
                f"FROM user_feedback {WINDOW} AND feedback_type = 'rating' AND verified GROUP BY 1 ORDER BY 1"
            ),
        ),
        bars(
            "Accurate, too high, too low",
            "Quick feedback of visitors.",
            Sql(
                f"SELECT feedback_type, count(*) AS remarks FROM user_feedback {WINDOW}\n"
                "  AND feedback_type IN ('accurate', 'too_high', 'too_low') GROUP BY 1 ORDER BY 1"
            ),
        ),
        stat(
            "Median error against actual prices",
            "Of the estimates with a verified actual price.",
            Sql(
                f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(estimate / feedback_value - 1)) AS median {ACTUAL}"
            ),
            unit="percentunit",
            width=8,
        ),
        table(
            "Largest differences from actual prices",
            f"{PRICE_UNIT.capitalize()}.",
            Sql(
                f"SELECT inputs->>'{LOCATION}' AS {DEMAND[0]}, round(estimate::numeric, 1) AS estimate, feedback_value AS actual, bundle\n"
                f"{ACTUAL} ORDER BY abs(estimate / feedback_value - 1) DESC LIMIT 20"
            ),
            width=16,
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-business",
    "Business",
    f"Estimates by {DEMAND[0]}, feedback rate, satisfaction.",
    (TRAFFIC, HOMES, OPINION),
    window="now-7d",
)
