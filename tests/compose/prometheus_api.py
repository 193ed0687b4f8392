"""A client of Prometheus' HTTP API."""

from __future__ import annotations

from typing import Any

import httpx


class Prometheus:
    """The Prometheus at a base URL."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", timeout=20)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def targets(self) -> dict[str, set[str]]:
        """Return the health of the targets (`up`, `down`, `unknown`) by job."""
        found: dict[str, set[str]] = {}
        for target in self._data("/targets?state=active")["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(target["health"])
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule, with its health and its last error."""
        return [rule for group in self._data("/rules")["groups"] for rule in group["rules"]]

    def alertmanagers(self) -> list[str]:
        """Return the Alertmanagers it sends to."""
        return [one["url"] for one in self._data("/alertmanagers")["activeAlertmanagers"]]

    def names(self) -> set[str]:
        """Return every metric that has a series."""
        return set(self._data("/label/__name__/values"))

    def firing(self) -> set[str]:
        """Return the firing alerts."""
        return {alert["labels"]["alertname"] for alert in self._data("/alerts")["alerts"] if alert["state"] == "firing"}

    def value(self, query: str) -> float | None:
        """Return the first value of an instant query, or None if it has no data."""
        result = self._client.get("/query", params={"query": query}).raise_for_status().json()["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def _data(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()["data"]
