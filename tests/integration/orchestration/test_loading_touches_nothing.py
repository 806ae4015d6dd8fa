"""Loading the definitions leaves no trace and talks to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from siyu.config import REPO

# Run in a process of its own, so that imports are seen too. CPython announces what it opens.
PROBE = """
import json, os, sys
seen = {"written": set(), "sockets": []}
def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen["written"].add(os.path.abspath(os.fsdecode(arguments[0])))
    elif event in ("os.mkdir", "os.rename", "os.remove", "sqlite3.connect"):
        seen["written"].add(os.path.abspath(os.fsdecode(arguments[0])))
    elif event in ("socket.connect", "socket.getaddrinfo"):
        seen["sockets"].append(event)
    elif event == "socket.bind" and arguments[1][1]:
        # Libraries bind to any free port, and let go, to see whether the machine speaks IPv6.
        seen["sockets"].append(event)
sys.addaudithook(watch)
from orchestration.definitions import defs
defs().resolve_asset_graph()
heavy = {"great_expectations", "mlflow", "matplotlib", "xgboost", "sklearn"} & set(sys.modules)
print(json.dumps({"written": sorted(seen["written"]), "sockets": seen["sockets"],
                  "heavy": sorted(heavy)}))
"""


def test_loading_writes_only_dbts_manifest_and_opens_no_connection(tmp_path: Path) -> None:
    home = tmp_path / "user"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "SIYU_HOME": str(tmp_path / "siyu"),
        "PYTHONPATH": str(REPO),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=home, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout.splitlines()[-1])
    target = str(REPO / "dbt_project" / "target")
    assert [name for name in seen["written"] if not name.startswith((target, "/dev/"))] == []
    assert seen["sockets"] == []
    assert seen["heavy"] == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["user"]
