"""Fetch the libraries that the dashboard ships, with npm, and check that they are the ones meant.

Run it to move to other versions: change `LIBRARIES`, run, look at the page. Nobody who installs or builds Tastemaker needs it, or node.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src/tastemaker/dashboard/static/vendor"


@dataclass(frozen=True)
class Library:
    """A file of a package, and what it becomes."""

    package: str
    version: str
    source: str
    target: str
    sha256: str
    after: bytes = b""
    """added, to make a module of a script"""


LIBRARIES = (
    Library(
        "htm",
        "3.1.1",
        "preact/standalone.module.js",
        "preact.js",
        "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7",
    ),
    Library(
        "uplot",
        "1.6.32",
        "dist/uPlot.iife.min.js",
        "uplot.js",
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        b"\nexport default uPlot;\n",
    ),
    Library(
        "uplot", "1.6.32", "dist/uPlot.min.css", "uplot.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"
    ),
    Library(
        "preact", "10.5.13", "LICENSE", "preact.LICENSE.txt", "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4"
    ),  # of the preact within htm's file
)


def main() -> None:
    """Fetches all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for one in LIBRARIES:
            name = f"{one.package}@{one.version}"
            told = subprocess.run(["npm", "pack", "--silent", name], cwd=place, check=True, capture_output=True, text=True)
            with tarfile.open(Path(place, told.stdout.split()[-1])) as packed:
                content, licence = (_member(packed, f"package/{path}") for path in (one.source, "LICENSE"))
            found = hashlib.sha256(content).hexdigest()
            if found != one.sha256:
                raise SystemExit(f"{name} {one.source}: sha256 {found}\nexpected: {one.sha256}")
            (FOLDER / one.target).write_bytes(content + one.after)
            (FOLDER / f"{one.package}.LICENSE.txt").write_bytes(licence)
            print(f"{one.target}: {name}, {len(content):,} bytes")


def _member(packed: tarfile.TarFile, path: str) -> bytes:
    file = packed.extractfile(path)
    assert file is not None, path
    return file.read()


if __name__ == "__main__":
    main()
