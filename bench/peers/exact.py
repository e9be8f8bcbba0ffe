#!/usr/bin/env python3
"""Exact solvers beside their peers: seconds from two clouds to the optimum, the n x m matrix included.

    python3 -m venv base && base/bin/pip install numpy scipy POT
    python3 -m venv lapx && lapx/bin/pip install numpy lapx       # lapx and lap install the same module
    python3 -m venv lap && lap/bin/pip install numpy lap
    base/bin/python bench/peers/exact.py --bin build/bin --lapx lapx/bin/python --lap lap/bin/python \\
        --images fashion.h5 --out bench/results/DATE-MACHINE-peers_exact.json

Clouds: both normal; or normal noise and the first n images of a file of monge's (needs h5py in base). Each peer runs in
a process of its own; its matrix comes from one routine around a GEMM, and both are timed, in float and in double: the
faster of the two medians of `--repeat` runs counts. monge (ot_exact_run) goes from the points to a proven optimum on
all cores, medians of as many runs in one process. Costs are compared in double with the pairs each solver returns.

Problems are named KIND:N[xM]:D, and `--only` takes patterns of these:
  clouds      assignment between clouds
  matrix      the same, but a matrix of doubles is given: nobody's time holds its making
  transport   n onto m points of unequal random weights, where POT alone is a peer; its times count if its cost agrees to
              1e-9, which a matrix in float may not be good enough for
"""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

LAPX = ["lapjv", "lapjvx", "lapjvc", "lapjvs", "lapjvr", "lapjvh"]
PEERS = {"scipy": "base", "POT": "base", "lap": "lap", **{f"lapx {name}": "lapx" for name in LAPX}}


def matrix(x, y, dtype):
    x, y = x.astype(dtype), y.astype(dtype)
    c = x @ y.T
    c *= -2
    c += (x * x).sum(1)[:, None]
    c += (y * y).sum(1)[None, :]
    return c


@dataclass
class Problem:
    kind: str  # clouds, matrix, transport
    n: int
    m: int
    d: int

    @property
    def name(self):
        return f"{self.kind}:{self.n}{'' if self.m == self.n else f'x{self.m}'}:{self.d}"

    @property
    def files(self):
        return {"matrix": ["c.f64"], "transport": ["x.f32", "y.f32", "a.f64", "b.f64"]}.get(self.kind, ["x.f32", "y.f32"])

    def load(self, folder):
        data = [np.fromfile(folder / f, np.float32 if f.endswith("f32") else np.float64) for f in self.files]
        if self.kind == "matrix":
            return [data[0].reshape(self.n, self.m)]
        return [data[0].reshape(self.n, self.d), data[1].reshape(self.m, self.d), *data[2:]]

    def write(self, folder, images):
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.n, self.d)).astype(np.float32)
        y = rng.standard_normal((self.m, self.d)).astype(np.float32)
        if self.d == 784:
            y = np.ascontiguousarray(images[: self.m], np.float32)
        if self.kind == "matrix":
            matrix(x, y, np.float64).tofile(folder / "c.f64")
            return
        x.tofile(folder / "x.f32")
        y.tofile(folder / "y.f32")
        if self.kind == "transport":
            for file, size in ("a.f64", self.n), ("b.f64", self.m):
                w = rng.random(size)
                (w / w.sum()).tofile(folder / file)


def solver(name):
    """cost, weights or not -> column of each row, or the plan."""
    if name == "scipy":
        from scipy.optimize import linear_sum_assignment

        return lambda c: linear_sum_assignment(c)[1]
    if name == "POT":
        import ot

        def emd(c, a=None, b=None):
            if a is not None:
                return ot.emd(a, b, c, numItermax=10**8)
            n = len(c)
            return ot.emd(np.full(n, 1 / n), np.full(n, 1 / n), c, numItermax=10**8).argmax(1)

        return emd
    import lap

    call = getattr(lap, name.split()[-1] if name != "lap" else "lapjv")

    def run(c):
        out = call(c)
        for part in out if isinstance(out, tuple) else (out,):  # each of them has an order of its own
            part = np.asarray(part)
            if part.shape == (len(c),) and np.issubdtype(part.dtype, np.integer) and len(set(part[:50])) > 1:
                if not np.array_equal(part, np.arange(len(c))):
                    return part
            if part.shape == (len(c), 2):
                return part[np.argsort(part[:, 0]), 1].astype(int)
        return np.arange(len(c))

    return run


def judge(problem, data, found):
    """Cost in double, and whether it is an assignment or a plan at all."""
    if problem.kind == "transport":
        x, y, a, b = data
        i, j = np.nonzero(found)
        mass = found[i, j]
        valid = abs(found.sum(1) - a).sum() + abs(found.sum(0) - b).sum() < 1e-9
        return (mass * ((x[i].astype(np.float64) - y[j].astype(np.float64)) ** 2).sum(1)).sum(), valid
    valid = len(set(found.tolist())) == problem.n
    if problem.kind == "matrix":
        return data[0][np.arange(problem.n), found].mean(), valid
    x, y = data
    return ((x.astype(np.float64) - y[found].astype(np.float64)) ** 2).sum(1).mean(), valid


def run_peer(name, folder, problem, repeat):
    """Prints a JSON line for each dtype."""
    run = solver(name)
    data = problem.load(Path(folder))
    small = np.random.default_rng(0).random((50, 50))
    for dtype in (np.float64, np.float32):
        run(small.astype(dtype))
        source = data[0].astype(dtype) if problem.kind == "matrix" else None
        times, making = [], []
        for _ in range(repeat):
            start = time.perf_counter()
            c = matrix(*data[:2], dtype) if source is None else source
            made = time.perf_counter()
            found = run(c, *data[2:])
            times.append(time.perf_counter() - start)
            making.append(made - start)
        cost, valid = judge(problem, data, found)
        print(json.dumps({"dtype": dtype.__name__, "seconds": float(np.median(times)), "times": times,
                          "matrix_seconds": float(np.median(making)), "cost": float(cost), "valid": bool(valid)}), flush=True)


def time_peer(python, name, folder, problem, repeat, limit, truth):
    command = [python, __file__, "--one", name, str(folder), json.dumps(asdict(problem)), str(repeat)]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        text, note = out.stdout, out.stderr.strip().splitlines()[-1:] if out.returncode else []
    except subprocess.TimeoutExpired as e:
        text, note = (e.stdout or b"").decode(), [f"stopped after {limit:g} s"]
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    if problem.kind == "transport":
        for r in found:
            r["valid"] = r["valid"] and abs(r["cost"] / truth - 1) <= 1e-9
    best = min(found, key=lambda r: (not r["valid"], r["seconds"]), default={})
    return {"solver": name, **best, **({"note": note[0]} if note else {})}


def time_monge(binary, folder, problem, repeat):
    sizes = [problem.n, problem.m] if problem.kind != "clouds" else [problem.n]
    sizes += [problem.d] if problem.kind != "matrix" else []
    mode = "cost" if problem.kind == "matrix" else problem.kind
    command = [binary, mode, *(folder / f for f in problem.files), *sizes, repeat]
    out = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    r = json.loads(out.stdout)
    return {"solver": "monge", "seconds": float(np.median(r["times"])), **r}


def read_images(path):
    if Path(path).suffix == ".f32":  # raw, 784 values each
        return np.fromfile(path, np.float32).reshape(-1, 784)
    import h5py

    with h5py.File(path) as f:
        return f["x"][:].astype(np.float32) / 127.5 - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=4, metavar="...", help=argparse.SUPPRESS)
    parser.add_argument("--bin", default="build/bin", help="folder of ot_exact_run")
    parser.add_argument("--lapx", default=sys.executable, help="python with lapx")
    parser.add_argument("--lap", default=None, help="python with lap; left out by default")
    parser.add_argument("--images", help="data set of 784 dimensions, or raw floats (.f32)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--dims", type=int, nargs="*", default=[2, 3, 64, 784])
    parser.add_argument("--matrix", type=int, nargs="*", default=[2, 3, 64], help="dimensions of given matrices")
    parser.add_argument("--transport", type=int, nargs="*", default=[2, 64], help="dimensions of transport problems")
    parser.add_argument("--transport-size", type=int, nargs=2, default=[5000, 7000], metavar=("N", "M"))
    parser.add_argument("--only", nargs="+", metavar="PATTERN", help="problems to run, as 'clouds:5000:*' 'transport:*'")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=float, default=100, help="seconds after which a peer is given up")
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.one:
        name, folder, problem, repeat = options.one
        return run_peer(name, folder, Problem(**json.loads(problem)), int(repeat))

    pythons = {"base": sys.executable, "lapx": options.lapx, "lap": options.lap}
    names = [name for name in options.peers if pythons[PEERS[name]]]
    images = read_images(options.images) if options.images else None
    problems = [Problem("clouds", n, n, d) for n in options.sizes for d in options.dims if d != 784 or images is not None]
    problems += [Problem("matrix", max(options.sizes), max(options.sizes), d) for d in options.matrix]
    problems += [Problem("transport", *options.transport_size, d) for d in options.transport]
    if options.only:
        known = [p.name for p in problems]
        problems = [p for p in problems if any(fnmatch.fnmatch(p.name, pattern) for pattern in options.only)]
        if not problems:
            parser.error(f"--only fits none of {', '.join(known)}")
    report = {"cores": os.cpu_count(), "problems": []}
    for problem in problems:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            problem.write(folder, images)
            rows = [time_monge(f"{options.bin}/ot_exact_run", folder, problem, options.repeat)]
            for name in names:
                if problem.kind != "transport" or name == "POT":
                    rows.append(time_peer(pythons[PEERS[name]], name, folder, problem, options.repeat, options.limit,
                                          rows[0]["cost"]))
        good = [r for r in rows[1:] if r.get("valid")]
        ratio = min((r["seconds"] for r in good), default=float("nan")) / rows[0]["seconds"]
        report["problems"].append({**asdict(problem), "ratio": ratio, "rows": rows})
        gap = (rows[0]["upper"] - rows[0]["lower"]) / rows[0]["upper"]
        print(f"{problem.name}: fastest peer / monge = {ratio:.1f}, gap {gap:.1e}")
        for r in rows:
            off = r.get("cost", float("nan")) / rows[0]["cost"] - 1
            print(f"  {r['solver']:12} {r.get('seconds', float('nan')):8.4f} s  {r.get('dtype', ''):8} cost off by {off:9.1e}"
                  f"  {r.get('note', '')}", flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
