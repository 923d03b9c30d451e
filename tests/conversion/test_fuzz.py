import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conversion.fuzz import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(name):
    """In a process of its own, whose memory is limited."""
    command = [sys.executable, "-m", "tests.conversion.fuzz", "--files", "150", "--format", name]
    found = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stdout + found.stderr
    summary = re.search(r"150 files: (\d+) read, (\d+) refused, 0 failed", found.stdout)
    assert summary
    assert int(summary[2]) >= 20
