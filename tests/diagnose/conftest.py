"""Reports are judged by hand here: what is drawn is not what is judged."""

import pytest

from diagnose import reports
from loopwise.diagnose.report import Findings, Report


@pytest.fixture
def judged(monkeypatch):
    judge = property(lambda report: Findings(reports.findings(report)))
    monkeypatch.setattr(Report, "findings", judge)
