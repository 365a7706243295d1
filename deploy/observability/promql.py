"""PromQL that more than one view needs."""

from __future__ import annotations

import re

WINDOW = "$__rate_interval"  # what Grafana finds right for the scrape interval and the dashboard's time
NAMESPACE = 'namespace=~"$namespace"'  # empty where none has one, which is what series without the label match
_SERIES = re.compile(r"\b((?:inspector_|inspection:|process_)[a-z_:]+)(\{?)")


def rate(series: str, window: str = WINDOW) -> str:
    """Return a counter's growth a second."""
    return f"rate({series}[{window}])"


def share(part: str, whole: str, by: str = "", window: str = WINDOW) -> str:
    """Return which share of one counter's growth is another's; ``by``: for each value of this label."""
    grouped = f" by ({by})" if by else ""
    all_of_it = f"sum{grouped} ({rate(whole, window)})"
    # A part that never came has no series: it is 0 of the whole.
    return f"(sum{grouped} ({rate(part, window)}) or 0 * {all_of_it}) / {all_of_it}"


def quantile(level: float, histogram: str, by: str = "") -> str:
    """Return what this share of a histogram's observations stays below; ``by``: for each value of this label."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({level}, sum by ({grouped}) ({rate(f'{histogram}_bucket')}))"


def of_the_chosen_line(expr: str) -> str:
    """Return an expression that asks for one line's series alone: all of them have its namespace, or none has."""
    return _SERIES.sub(lambda found: f"{found[1]}{{{NAMESPACE}{', ' if found[2] else '}'}", expr)
