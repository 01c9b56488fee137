"""The page of requirements is current, and every requirement on it has a test or a reason why not.

Of a part of the suite nothing can be said; in CI the whole suite must have been collected.
"""

import os

from tests.requirements_ids import IDS, REASONS
from tests.requirements_plugin import PAGE, Collected, page


def test_continuous_integration_collects_the_whole_suite(requirements: Collected) -> None:
    in_ci = bool(os.environ.get("CI"))
    assert not in_ci or requirements.missing == ()


def test_the_page_of_requirements_is_current(requirements: Collected) -> None:
    if not requirements.missing:
        assert PAGE.read_text(encoding="utf-8") == page(requirements), "run: pytest --requirements-write"


def test_every_listed_requirement_has_a_test_or_a_reason(requirements: Collected) -> None:
    if not requirements.missing:
        assert requirements.unanswered == []


def test_no_test_carries_an_id_that_the_specification_does_not_have(requirements: Collected) -> None:
    assert requirements.unheard_of == []


def test_reasons_are_given_for_listed_requirements_alone() -> None:
    assert set(REASONS) <= {one for ids in IDS.values() for one in ids}
