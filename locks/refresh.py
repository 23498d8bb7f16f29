"""Resolve every dependency anew and write the locks: `make lock`.

cpu.txt holds what `openrs[cpu]` needs, dev.txt what `openrs[dev]` adds to it. Both are complete
and installed with --no-deps. Left out: packages whose builds need CUDA beside a CPU torch.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec", "triton", "openrs"}


def resolve(target: str) -> dict[str, str]:
    """Name -> version of everything a target needs."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", report.name, target]
        subprocess.run(command, check=True)
        installs = json.loads(Path(report.name).read_text())["install"]
    found = {i["metadata"]["name"].lower().replace("_", "-"): i["metadata"] for i in installs}
    # The local part (2.13.0+cpu) is left to the index: the same version, whatever its build.
    return {n: m["version"].split("+")[0] for n, m in found.items() if n not in LEFT_OUT}


# What another Python than the one that resolves would need.
OLDER_PYTHON = {"async-timeout": '5.0.1; python_full_version < "3.11.3"'}  # redis


def write(name: str, packages: dict[str, str]) -> None:
    """One lock file."""
    lines = [f"{package}=={version}\n" for package, version in sorted(packages.items())]
    (HERE / name).write_text("".join(lines))


if __name__ == "__main__":
    root = str(HERE.parent)
    cpu = resolve(f"{root}[cpu]")
    everything = resolve(f"{root}[cpu,dev]")
    write("cpu.txt", {name: everything[name] for name in cpu} | OLDER_PYTHON)
    write("dev.txt", {name: v for name, v in everything.items() if name not in cpu})
