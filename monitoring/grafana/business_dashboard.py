"""The Business dashboard: demand, homes, feedback and satisfaction."""

from homeprices.pricing.inputs import AREA, BEDROOMS
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

DEMAND = Row(
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
    "Homes",
    (
        table(
            "Estimates by area",
            "The most frequent areas; median estimate in lakh rupees, and per square foot in rupees.",
            Sql(
                "SELECT inputs->>'location' AS area, count(*) AS estimates,\n"
                "  round(percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate)::numeric, 1) AS median_lakh,\n"
                f"  round(percentile_cont(0.5) WITHIN GROUP (ORDER BY estimate * 100000 / nullif((inputs->>'{AREA}')::float, 0))::numeric)\n"
                "    AS rupees_per_sqft\n"
                f"FROM prediction_logs {WINDOW} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 25"
            ),
        ),
        bars(
            "Estimates by bedrooms",
            "Number of bedrooms in the requests.",
            Sql(
                f"SELECT inputs->>'{BEDROOMS}' AS {BEDROOMS}, count(*) AS estimates FROM prediction_logs {WINDOW} GROUP BY 1 ORDER BY 1 LIMIT 20"
            ),
            width=12,
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
            "Lakh rupees.",
            Sql(
                "SELECT inputs->>'location' AS area, round(estimate::numeric, 1) AS estimate, feedback_value AS actual, bundle\n"
                f"{ACTUAL} ORDER BY abs(estimate / feedback_value - 1) DESC LIMIT 20"
            ),
            width=16,
        ),
    ),
)

DASHBOARD = Dashboard(
    "homeprices-business",
    "Business",
    "Estimates by area, feedback rate, satisfaction.",
    (DEMAND, HOMES, OPINION),
    window="now-7d",
)
