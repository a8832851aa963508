"""A skipped test fails the run, wherever it is skipped."""

import shutil
import subprocess
import sys

from conftest import ROOT

SKIPPED = {
    "test_mark.py": "import pytest\n\n@pytest.mark.skip(reason='not today')\ndef test(): pass\n",
    # As jupyter_kernel_test does it.
    "test_unittest.py": "import unittest\n\nclass Tests(unittest.TestCase):\n"
    "    def test(self): raise unittest.SkipTest('no sample')\n",
    "test_module.py": "import pytest\n\npytest.importorskip('a_module_that_nobody_has')\n",
}


def test_a_skipped_test_fails_the_run(tmp_path):
    shutil.copy(ROOT / "tests/python/conftest.py", tmp_path)
    (tmp_path / "test_good.py").write_text("def test(): pass\n")
    for name, text in SKIPPED.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    command += ["--continue-on-collection-errors", "--rootdir", tmp_path, tmp_path]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, 1 passed, 2 errors" in ran.stdout, ran.stdout
    for reason in ["not today", "no sample", "a_module_that_nobody_has"]:
        assert "was skipped, and nothing may be: " in ran.stdout and reason in ran.stdout, ran.stdout
