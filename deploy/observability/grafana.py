"""Grafana dashboards as data: rows of panels, each with its queries, unit and description.

``Dashboard.to_json`` gives the classic JSON model (schema version 42, Grafana 12 and newer; Grafana brings older and
newer ones in line when it loads them). The data source is a variable, so that a dashboard fits any Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from observability.promql import of_the_chosen_line

SCHEMA_VERSION = 42
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#8e8e8e"

Kind = Literal["timeseries", "stat", "bargauge", "heatmap", "state-timeline"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL over all there is, and what its series are called: ``{{label}}`` takes a label's value.

    Panels show the line that is chosen at the top of their dashboard; that is not to be written here.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """From ``at`` on (in the panel's unit) a value has this colour."""

    at: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. ``unit`` is Grafana's name of it (``reqps``, ``percentunit``, ``s``, ``bytes``, ``short``).

    ``width`` of 24 columns, ``height`` of 30 pixels. ``colours``: a series' colour by its legend; ``words``: what a
    value is called. ``lowest`` and ``highest`` fix the ends of the axis.
    """

    title: str
    description: str
    queries: Sequence[Query]
    unit: str
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    steps: Sequence[Step] = ()
    colours: Mapping[str, str] | None = None
    words: Mapping[float, tuple[str, str]] | None = None
    lowest: float | None = 0
    highest: float | None = None
    decimals: int | None = None

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at this place of the grid."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "datasource": DATASOURCE,
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": self._options(),
            "targets": [self._target(query, place) for place, query in enumerate(self.queries)],
        }

    def _target(self, query: Query, place: int) -> dict[str, Any]:
        # A number now is asked for once; everything else over the dashboard's time.
        instant = self.kind in ("stat", "bargauge")
        return {
            "refId": chr(ord("A") + place),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": of_the_chosen_line(query.expr),
            "legendFormat": query.legend or "__auto",
            "instant": instant,
            "range": not instant,
            "format": "heatmap" if self.kind == "heatmap" else "time_series",
        }

    def _defaults(self) -> dict[str, Any]:
        steps = [{"color": GREEN, "value": None}, *({"color": step.colour, "value": step.at} for step in self.steps)]
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "min": self.lowest,
            "max": self.highest,
            "decimals": self.decimals,
            "color": {
                "mode": "thresholds" if self.kind in ("stat", "bargauge", "state-timeline") else "palette-classic"
            },
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": self._custom(),
        }
        if self.words:
            named = {f"{value:g}": {"text": text, "color": colour} for value, (text, colour) in self.words.items()}
            defaults["mappings"] = [{"type": "value", "options": named}]
        return {name: value for name, value in defaults.items() if value is not None}

    def _custom(self) -> dict[str, Any]:
        if self.kind != "timeseries":
            return {}
        return {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if self.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if self.steps else "off"},
        }

    def _overrides(self) -> list[dict[str, Any]]:
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            }
            for name, colour in (self.colours or {}).items()
        ]

    def _options(self) -> dict[str, Any]:
        return {**_OPTIONS[self.kind], "yAxis": {"unit": self.unit}} if self.kind == "heatmap" else _OPTIONS[self.kind]


_NOW = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_OPTIONS: Mapping[Kind, dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": _NOW,
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    },
    "bargauge": {
        "reduceOptions": _NOW,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {**_LEGEND, "showLegend": False},
    },
    "heatmap": {
        "calculate": False,
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "fill": "dark-blue",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "showValue": "never",
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    },
    "state-timeline": {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.9,
        "legend": _LEGEND,
        "tooltip": {"mode": "single", "sort": "none"},
    },
}
"""Grafana's own defaults, written out: its published schema asks for each of them."""


def number(
    title: str,
    description: str,
    expr: str,
    unit: str,
    *,
    steps: Sequence[Step] = (),
    decimals: int = 0,
    width: int = 4,
) -> Panel:
    """Return a panel that shows one number as of now."""
    return Panel(title, description, (Query(expr),), unit, "stat", width, height=4, steps=steps, decimals=decimals)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one headline, laid out from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a dashboard: any number of values, all at first; ``one``: the first, or another."""

    name: str
    label: str
    query: str
    one: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as Grafana has it."""
        choice: dict[str, Any] = {"multi": False, "includeAll": False}
        if not self.one:
            all_of_them = {"text": ["All"], "value": ["$__all"]}
            choice = {"multi": True, "includeAll": True, "allValue": ".*", "current": all_of_them}
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": DATASOURCE,
            "definition": self.query,
            "query": {"query": self.query, "refId": "StandardVariableQuery", "qryType": 1},
            "refresh": 2,
            "sort": 1,
            **choice,
        }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """``uid`` stays the same for ever: links and Grafana's own records name it.

    One line at a time is shown, as its namespace tells it: two lines' figures in one sum are neither's.
    """

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the classic JSON model."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["inspection"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "30s",
            "links": [
                {
                    "type": "dashboards",
                    "title": "Inspection",
                    "tags": ["inspection"],
                    "asDropdown": True,
                    "keepTime": True,
                    "includeVars": True,
                    "targetBlank": False,
                    "icon": "external link",
                    "tooltip": "",
                    "url": "",
                }
            ],
            "annotations": {"list": [_alerts_as_annotations()]},
            "templating": {"list": [_datasource(), *(each.to_json() for each in (_LINE, *self.variables))]},
            "panels": self._panels(),
        }

    def _panels(self) -> list[dict[str, Any]]:
        panels: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
                    "panels": [],
                }
            )
            x, y, highest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y, highest = 0, y + highest, 0
                panels.append(panel.to_json(len(panels) + 1, x, y))
                x, highest = x + panel.width, max(highest, panel.height)
            y += highest
        return panels


_LINE = Variable("namespace", "Line (namespace)", "label_values(inspector_build_info, namespace)", one=True)


def _datasource() -> dict[str, Any]:
    return {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "refresh": 1}


def _alerts_as_annotations() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": RED,
        # And those of no line, as of a machine.
        "expr": 'ALERTS{alertstate="firing", service="inspection", namespace=~"$namespace|"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{camera_id}}{{instance}}",
        "step": "60s",
    }
