"""What tests of several files share."""

from collections.abc import Iterator

import pytest

from made import report_left_out


@pytest.fixture
def without_report() -> Iterator[None]:
    """Have runs leave a few words in place of the report, of which the test asks nothing."""
    with report_left_out():
        yield
