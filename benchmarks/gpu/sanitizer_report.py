"""What a report of Compute Sanitizer says. Uses nothing but the standard library."""

import re

# As Compute Sanitizer's manual prints them. A second line of the first kind says how many errors were not printed.
_ERRORS = re.compile(r"^=+ ERROR SUMMARY: (\d+) errors?\b", re.MULTILINE)
_HAZARDS = re.compile(
    r"^=+ RACECHECK SUMMARY: (\d+) hazards? displayed \((\d+) errors?, (\d+) warnings?\)", re.MULTILINE
)
_SUMMARY = re.compile(r"^=+ ((?:ERROR|RACECHECK) SUMMARY: .*?)\s*$", re.MULTILINE)
# It could not do its work: "Error: No attachable process found", "Internal Sanitizer Error: ...".
_OWN_ERROR = re.compile(r"^=+ (?:Internal Sanitizer )?Error: .*", re.MULTILINE)


def faults(tool: str, text: str) -> int | None:
    """Return how many errors or hazards ``tool`` reports, warnings too; None where ``text`` is not a whole report."""
    errors = [int(count) for count in _ERRORS.findall(text)]
    hazards = [max(map(int, counts)) for counts in _HAZARDS.findall(text)]
    if _OWN_ERROR.search(text) or not (hazards if tool == "racecheck" else errors):
        return None
    return sum(errors) + sum(hazards)


def summary(text: str) -> str:
    """Return the lines of ``text`` that sum up, or what the tool says of itself."""
    found = _SUMMARY.findall(text) or [line.lstrip("= ") for line in _OWN_ERROR.findall(text)]
    return "; ".join(found) or "no summary"
