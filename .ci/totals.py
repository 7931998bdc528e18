"""Add up the JUnit reports of all sessions: prints ``N passed, N failed``; exit code 1 unless all passed."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

EXPECTED = ("dotnet", "python", "wheel")


def count(report: Path) -> tuple[int, int, int]:
    """Return (passed, failed, skipped) of one report."""
    cases = list(ET.parse(report).iter("testcase"))
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return len(cases) - failed - skipped, failed, skipped


def main(folder: Path) -> int:
    """Print one line for each session, then the sum."""
    passed = failed = missing = 0
    for name in EXPECTED:
        report = folder / f"{name}.xml"
        if not report.is_file():
            print(f"{name}: no report: the session ended before its tests did")
            missing += 1
            continue
        ok, bad, skipped = count(report)
        print(f"{name}: {ok} passed, {bad} failed, {skipped} skipped")
        passed, failed = passed + ok, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and missing == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
