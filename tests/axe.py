"""axe-core, which judges what a page is to people who cannot see it, point at it or tell its colours apart."""

from __future__ import annotations

import json
from importlib.resources import files

from tests.chromium import Page

_RUN = """axe.run(document, {preload: false, resultTypes: ['violations']}).then(result => result.violations.map(
    each => [each.impact, each.id, each.help, each.nodes.map(node => node.html + ' ' + node.failureSummary)]))"""


def serious_findings(page: Page) -> list[str]:
    """What axe-core finds of impact serious or critical, each with where it is and why."""
    if not page.evaluate("Boolean(window.axe)"):
        program = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
        page.evaluate(f"{program}; undefined")
    return [
        f"{impact}: {rule}: {words}: {json.dumps(places)[:1500]}"
        for impact, rule, words, places in page.evaluate(_RUN)
        if impact in ("serious", "critical")
    ]
