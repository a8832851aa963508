"""The table of a bench: what was measured, the bar, the peers."""

import datetime
import pathlib
import platform
import subprocess
from dataclasses import dataclass, field


@dataclass
class Row:
    part: str
    name: str
    value: float
    bar: float
    bar_text: str
    unit: str
    peers: dict = field(default_factory=dict)

    def holds(self):
        return self.value <= self.bar


class Report:
    """Collects rows; a peer's figure belongs to the row of the same name."""

    def __init__(self, runs):
        self.runs = runs
        self.rows = []
        self.floor = None
        self.ratios_missed = []

    def add(self, part, name, value, bar, bar_text, unit="s"):
        self.rows.append(Row(part, name, value, bar, bar_text, unit))
        print(f"{name}: {shown(value, unit)} (bar {bar_text})", flush=True)

    def peer(self, name, peer, value, at_least=None):
        row = next(row for row in self.rows if row.name == name)
        row.peers[peer] = value
        print(f"{name}: {peer} {shown(value, row.unit)}, {value / row.value:.1f} ×", flush=True)
        if at_least is not None and value / row.value < at_least:
            self.ratios_missed.append(f"{name} against {peer}")

    def missed(self):
        return [row.name for row in self.rows if not row.holds()] + self.ratios_missed

    def markdown(self):
        peers = list(dict.fromkeys(peer for row in self.rows for peer in row.peers))
        head = ["", "oxilab", "bar", "holds", *peers]
        lines = [head, ["---"] * len(head)]
        for row in self.rows:
            bar = row.bar_text if row.unit != "s" else f"{row.bar_text} = {shown(row.bar, 's')}"
            line = [row.name, shown(row.value, row.unit), bar, "yes" if row.holds() else "**no**"]
            for peer in peers:
                value = row.peers.get(peer)
                ratio = "—" if value is None else f"{shown(value, row.unit)} ({value / row.value:.2g} ×)"
                line.append(ratio)
            lines.append(line)
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        floor = "" if self.floor is None else f"Bare rustc on an empty cdylib: {shown(self.floor, 's')}. "
        return f"{floor}Medians of {self.runs} runs; in brackets the peer's time over oxilab's.\n\n{table}\n"

    def write(self, path):
        text = f"# Cells\n\n`cargo xtask bench cells`, {today()}, {machine()}.\n\n{self.markdown()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"written to {path}")


def today():
    return datetime.datetime.now(datetime.UTC).date()


def shown(value, unit):
    if value != value:
        return "not told"
    if unit != "s":
        return f"{value:.3g} {unit}".strip()
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.2f} s"


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, check=True, text=True)
    return f"{len(models)} × {models[0]}, {platform.system()}, {rustc.stdout.split(' (')[0]}"
