"""The JupyterLab extension through pip: without Node, and where JupyterLab looks for extensions."""

import json
import re
import subprocess
import sys
import sysconfig

from conftest import ROOT

EXTENSION = ROOT / "extensions/jupyterlab"


def test_pip_installs_the_extension_where_jupyterlab_finds_it(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    # It has the packages of the tests' own environment, pip and JupyterLab among them.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    def python(*arguments):
        command = [venv / "bin/python", *arguments]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def listed():
        """What JupyterLab says of the extension in this environment, without colours."""
        command = "from jupyterlab.labextensions import main; main()"
        said = re.sub(r"\x1b\[[0-9;]*m", "", python("-c", command, "list"))
        places = re.split(r"^(\S.*labextensions)$", said, flags=re.MULTILINE)
        here = [text for place, text in zip(places[1::2], places[2::2]) if place.startswith(str(venv))]
        return [line.strip() for text in here for line in text.splitlines() if "oxilab-lab" in line]

    # No registry is asked: what builds the package is there.
    pip = ["-m", "pip", "--disable-pip-version-check"]
    python(*pip, "install", "--no-index", "--no-build-isolation", EXTENSION)
    folder = venv / "share/jupyter/labextensions/oxilab-lab"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert (folder / package["jupyterlab"]["_build"]["load"]).is_file()
    assert json.loads((folder / "install.json").read_text(encoding="utf-8"))["packageManager"] == "python"
    (line,) = listed()
    assert re.match(rf"oxilab-lab v{package['version']} enabled OK \(python, oxilab_lab\)", line), line

    python(*pip, "uninstall", "--yes", "oxilab_lab")
    assert not folder.exists() and listed() == []
