"""The one-page HTML report of `send` and `deface`: what became of each series, and its picture.

The page stands alone: no script, no font, nothing fetched. Every text is escaped, and the
page forbids the browser to load anything, so that it can be opened on a locked-down desktop.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEY_LENGTH = 12
_STATES = {
    "delivered": ("ok", "Delivered"),
    "held": ("stop", "Held"),
    "refused": ("stop", "Refused"),
    "retry": ("wait", "Waiting"),
}
"""Outcome to style and word; an outcome not listed is shown as it is, as one to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """What the report says of one series.

    Parameters
    ----------
    series
        Pseudonym of the source series.
    outcome
        ``delivered``, ``held``, ``refused`` or ``retry``.
    reason, next_step
        Why it was not delivered and what to do; empty when it was.
    n_instances
        Instances of the source series.
    removed_ml
        Volume that was replaced, in millilitres.
    seconds
        Wall time.
    picture
        The before/after picture as PNG, which shows the face.
    stages
        Seconds that each stage took, in order.
    record
        The record of the series, as JSON types.
    """

    series: str
    outcome: str
    reason: str = ""
    next_step: str = ""
    n_instances: int = 0
    removed_ml: float = 0.0
    seconds: float = 0.0
    picture: bytes | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, object] | None = None


def report_page(rows: Sequence[ReportRow]) -> str:
    """Write the report.

    Parameters
    ----------
    rows
        One for each series; what was not delivered is put first.

    Returns
    -------
    str
        A self-contained HTML page.
    """
    ordered = sorted(rows, key=lambda row: _STATES.get(row.outcome, ("stop", ""))[0] == "ok")
    return _PAGE.substitute(
        style=_STYLE,
        banner=_BANNER if any(row.picture for row in rows) else "",
        headline=escape(_headline(rows)),
        tally="".join(_tally(rows)),
        series="".join(_series(row) for row in ordered) or "<p>No series was found.</p>",
    )


def _headline(rows: Sequence[ReportRow]) -> str:
    n_delivered = sum(row.outcome == "delivered" for row in rows)
    return f"{n_delivered} of {len(rows)} series delivered"


def _tally(rows: Sequence[ReportRow]) -> list[str]:
    outcomes = Counter(row.outcome for row in rows)
    figures = [
        *(
            (str(count), _STATES.get(name, ("", name))[1].lower())
            for name, count in outcomes.items()
        ),
        (f"{sum(row.n_instances for row in rows):,}", "instances"),
        (f"{sum(row.seconds for row in rows):,.1f} s", "in all"),
    ]
    return [f"<li><b>{escape(value)}</b> {escape(name)}</li>" for value, name in figures]


def _series(row: ReportRow) -> str:
    style, word = _STATES.get(row.outcome, ("stop", row.outcome))
    return _SERIES.substitute(
        style=style,
        word=escape(word),
        key=escape(row.series[:_KEY_LENGTH]),
        whole_key=escape(row.series),
        trouble=_trouble(row),
        figures=_figures(row),
        picture=_picture(row),
        details=_details(row),
    )


def _trouble(row: ReportRow) -> str:
    if not row.reason:
        return ""
    then = f"<p class='then'><b>Next:</b> {_with_code(row.next_step)}</p>" if row.next_step else ""
    return f"<div class='trouble'><p>{escape(row.reason)}</p>{then}</div>"


def _with_code(text: str) -> str:
    """Escape a text, and set what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _figures(row: ReportRow) -> str:
    pairs = [("instances", f"{row.n_instances:,}")]
    if row.removed_ml:
        pairs.append(("face and air replaced", f"{row.removed_ml:,.0f} ml"))
    if row.seconds:
        pairs.append(("time", f"{row.seconds:,.1f} s"))
    return "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)


def _picture(row: ReportRow) -> str:
    if row.picture is None:
        return ""
    source = base64.b64encode(row.picture).decode("ascii")
    words = "Surface views and planes of the head, before above and after below"
    return (
        f"<figure><div class='wide'><img alt='{words}' src='data:image/png;base64,{source}'>"
        "</div><figcaption>Before above, with the mask in orange; after below. "
        "Look for eyes, nose, mouth and ears in the lower row.</figcaption></figure>"
    )


def _details(row: ReportRow) -> str:
    record = row.record or {}
    facts = [(name, _text(record[key])) for key, name in _RECORD_FACTS.items() if record.get(key)]
    facts += [(f"time for {name}", f"{seconds:.2f} s") for name, seconds in row.stages.items()]
    deeds = record.get("deeds")
    table = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts)
    parts = []
    if table:
        parts.append(f"<details><summary>How it was done</summary><table>{table}</table></details>")
    if isinstance(deeds, dict) and deeds:
        items = "".join(
            f"<li>{escape(str(deed))} <span>×{escape(str(n))}</span></li>"
            for deed, n in deeds.items()
        )
        summary = f"{len(deeds)} kinds of change in the header"
        parts.append(f"<details><summary>{summary}</summary><ul>{items}</ul></details>")
    return "".join(parts)


_RECORD_FACTS = {
    "profile": "profile",
    "model": "face model",
    "recipe": "recipe",
    "method_codes": "de-identification methods, CID 7050",
    "series_instance_uid": "new Series Instance UID",
    "n_voxels_removed": "voxels replaced",
}
"""Key of the record to the words that the page uses, in the page's order."""


def _text(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


_BANNER = (
    "<p class='banner' role='note'><b>Shows faces.</b> Keep this page on the trusted side; "
    "never send it on with the series.</p>"
)

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>De-identification report</title>
<style>$style</style>
</head>
<body>
$banner
<header>
<p class="kicker">De-identification report</p>
<h1>$headline</h1>
<ul class="tally">$tally</ul>
</header>
<main>$series</main>
</body>
</html>
""")

_SERIES = Template("""
<article class="$style">
<h2><span class="state">$word</span> <code title="$whole_key">$key</code></h2>
$trouble
<dl>$figures</dl>
$picture
$details
</article>
""")

_STYLE = """
:root{--paper:#f6f5f2;--card:#fff;--ink:#1d2126;--faint:#666d75;--line:#e2dfd8;
--ok:#1d6b45;--ok-bg:#e4f2ea;--stop:#9a2a1f;--stop-bg:#fbe9e6;--wait:#7a5800;--wait-bg:#fbf1d8;
--banner:#8f1d14}
@media(prefers-color-scheme:dark){:root{--paper:#121417;--card:#1a1d21;--ink:#e6e8eb;
--faint:#98a0a9;--line:#2b3036;--ok:#7fd3a6;--ok-bg:#173226;--stop:#ff9d90;--stop-bg:#3a1b18;
--wait:#f0cc74;--wait-bg:#352b12;--banner:#7d1b13}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:0 20px}
.banner{margin:0;padding:10px 20px;background:var(--banner);color:#fff;text-align:center}
header{padding-top:36px;padding-bottom:20px}
.kicker{margin:0;color:var(--faint);font-size:14px;letter-spacing:.02em}
h1{margin:2px 0 10px;font-size:clamp(26px,5vw,38px);line-height:1.15;font-weight:650;
letter-spacing:-.015em}
.tally{display:flex;flex-wrap:wrap;gap:4px 22px;margin:0;padding:0;list-style:none;
color:var(--faint)}
.tally b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
article{margin:0 0 20px;padding:18px 20px 20px;background:var(--card);
border:1px solid var(--line);border-radius:10px}
h2{display:flex;flex-wrap:wrap;align-items:center;gap:10px;margin:0;font-size:17px}
h2 code{font:600 16px/1.4 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
.state{padding:2px 11px;border-radius:99px;font-size:14px;font-weight:600}
.ok .state{color:var(--ok);background:var(--ok-bg)}
.stop .state{color:var(--stop);background:var(--stop-bg)}
.wait .state{color:var(--wait);background:var(--wait-bg)}
.trouble{margin:14px 0 0;padding:10px 14px;border-radius:8px;background:var(--stop-bg)}
.wait .trouble{background:var(--wait-bg)}
.trouble p::first-letter{text-transform:uppercase}
.trouble p{margin:0;overflow-wrap:anywhere}.trouble .then{margin-top:4px}
dl{display:flex;flex-wrap:wrap;gap:8px 34px;margin:14px 0 0}
dt{color:var(--faint);font-size:14px}
dd{margin:0;font-size:18px;font-weight:600;font-variant-numeric:tabular-nums}
figure{margin:16px 0 0}
.wide{overflow-x:auto;border-radius:8px;background:#0d0f12}
.wide img{display:block;width:100%;min-width:900px;height:auto}
figcaption{margin-top:6px;color:var(--faint);font-size:14px}
details{margin-top:12px;border-top:1px solid var(--line);padding-top:10px;font-size:15px}
summary{cursor:pointer;color:var(--faint)}
table{margin-top:8px;border-collapse:collapse;width:100%}
th,td{padding:4px 18px 4px 0;text-align:left;vertical-align:top;font-weight:400}
th{color:var(--faint);white-space:nowrap}
td{width:100%;overflow-wrap:anywhere}
details ul{columns:260px;margin:10px 0 0;padding:0;list-style:none;font-size:14px}
details li{break-inside:avoid;overflow-wrap:anywhere}
details li span{color:var(--faint)}
@media(max-width:560px){header,main{padding-left:12px;padding-right:12px}
header{padding-top:24px;padding-bottom:16px}article{padding:14px}
th,td{display:block;padding:0}td{padding-bottom:8px}}
@media print{body{background:#fff}.wide img{min-width:0}article{break-inside:avoid}}
"""
