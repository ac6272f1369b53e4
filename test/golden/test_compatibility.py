# SPDX-License-Identifier: Apache-2.0
"""docs/compatibility.md tells of every numbered trap, and what it says to be shown is shown by a test that exists."""
import re

from captured import ROOT

TEXT = (ROOT / "docs/compatibility.md").read_text()
LAST = {"C-": 11, "T-": 57, "T": 58}
TEST_NAME = re.compile(r"`(test_\w+|[a-z]+(?:_[a-z0-9]+){2,})`")


def rows() -> list[list[str]]:
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if re.match(r"\| (C-|T-|T)\d", line)]
    assert all(len(row) == 3 for row in found), [row for row in found if len(row) != 3]
    return found


def defined() -> set[str]:
    names: set[str] = set()
    for path in (ROOT / "test").rglob("*"):
        if path.suffix in (".py", ".c"):
            text = path.read_text(errors="replace")
            names |= set(re.findall(r"^def (test_\w+)", text, re.MULTILINE)) | set(re.findall(r"^static void (\w+)\(void \*\*state\)", text, re.MULTILINE))
            names.add(path.stem)
    return names


def test_every_trap_has_its_row() -> None:
    named = [re.match(r"(C-|T-|T)(\d+) ", row[0]).groups() for row in rows()]
    wanted = [(prefix, str(number)) for prefix, last in LAST.items() for number in range(1, last + 1)]
    assert sorted(named) == sorted(wanted)


def test_every_row_says_what_and_where() -> None:
    for name, here, shown in rows():
        assert here and shown and "none" not in shown and "open" not in here, name
        elsewhere = here.startswith("elsewhere")
        assert elsewhere == (not re.search(r"`[\w./]+`", shown)) or "elsewhere" in here, f"{name}: {shown}"


def test_every_test_that_is_named_exists() -> None:
    known = defined()
    missing = sorted({name for name in TEST_NAME.findall(TEXT) if name not in known} - {"status_conditions"})
    assert not missing, missing
    files = sorted({name for name in re.findall(r"`((?:test|bench)/[\w./-]+)`", TEXT) if not (ROOT / name).exists()})
    assert not files, files
