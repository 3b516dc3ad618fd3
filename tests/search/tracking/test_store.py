"""MLflow's database, made where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.search.tracking.store import connect


def test_a_database_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"):
        connect(f"sqlite:///{tmp_path / ('x' * 250)}.db")
