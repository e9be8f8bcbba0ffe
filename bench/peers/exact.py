#!/usr/bin/env python3
"""Exact assignment beside its peers: seconds from two clouds to the optimum, the n x n matrix included.

    python3 -m venv base && base/bin/pip install numpy scipy POT
    python3 -m venv lapx && lapx/bin/pip install numpy lapx       # lapx and lap install the same module
    python3 -m venv lap && lap/bin/pip install numpy lap
    base/bin/python bench/peers/exact.py --bin build/bin --lapx lapx/bin/python --lap lap/bin/python \\
        --images fashion.h5 --out bench/results/DATE-MACHINE-peers_exact.json

Clouds: both normal; or normal noise and the first n images of a file of monge's (needs h5py in base). Each peer runs in
a process of its own; its matrix comes from one routine around a GEMM, and both are timed, in float and in double: the
faster of the two medians of `--repeat` runs counts. monge (ot_exact_run) goes from the points to a proven optimum on
all cores, medians of as many runs in one process. `matrix` problems: a matrix of doubles is given, nobody's time holds its
making. Costs are compared in double with the pairs each solver returns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
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


def solver(name):
    """cost -> column of each row."""
    if name == "scipy":
        from scipy.optimize import linear_sum_assignment

        return lambda c: linear_sum_assignment(c)[1]
    if name == "POT":
        import ot

        def emd(c):
            n = len(c)
            plan = ot.emd(np.full(n, 1 / n), np.full(n, 1 / n), c, numItermax=10**8)
            return plan.argmax(1)

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


def load(folder, n, d, given):
    if given:
        return np.fromfile(folder / "c.f64").reshape(n, n), None
    return [np.fromfile(folder / f"{k}.f32", np.float32).reshape(n, d) for k in "xy"]


def run_peer(name, folder, n, d, given, repeat):
    """Prints a JSON line for each dtype."""
    run, folder = solver(name), Path(folder)
    x, y = load(folder, n, d, given)
    small = np.random.default_rng(0).random((50, 50))
    for dtype in (np.float64, np.float32):
        run(small.astype(dtype))
        source = x.astype(dtype) if given else None
        times, making = [], []
        for _ in range(repeat):
            start = time.perf_counter()
            c = source if given else matrix(x, y, dtype)
            made = time.perf_counter()
            columns = run(c)
            times.append(time.perf_counter() - start)
            making.append(made - start)
        if given:
            cost = x[np.arange(n), columns].mean()
        else:
            cost = ((x.astype(np.float64) - y[columns].astype(np.float64)) ** 2).sum(1).mean()
        valid = len(set(columns.tolist())) == n
        print(json.dumps({"dtype": dtype.__name__, "seconds": float(np.median(times)), "times": times,
                          "matrix_seconds": float(np.median(making)), "cost": float(cost), "valid": valid}), flush=True)


def time_peer(python, name, folder, n, d, given, repeat, limit):
    command = [python, __file__, "--one", name, str(folder), str(n), str(d), str(int(given)), str(repeat)]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        text, note = out.stdout, out.stderr.strip().splitlines()[-1:] if out.returncode else []
    except subprocess.TimeoutExpired as e:
        text, note = (e.stdout or b"").decode(), [f"stopped after {limit:g} s"]
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    best = min(found, key=lambda r: r["seconds"], default={})
    return {"solver": name, **best, **({"note": note[0]} if note else {})}


def time_monge(binary, folder, n, d, given, repeat):
    files = [folder / "c.f64", n, n] if given else [folder / "x.f32", folder / "y.f32", n, d]
    out = subprocess.run([binary, "cost" if given else "clouds", *map(str, files), str(repeat)], check=True,
                         capture_output=True, text=True)
    r = json.loads(out.stdout)
    return {"solver": "monge", "seconds": float(np.median(r["times"])), **r}


def write_problem(folder, n, d, images, given):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((n, d)).astype(np.float32)
    y = rng.standard_normal((n, d)).astype(np.float32)
    if images is not None:
        y = np.ascontiguousarray(images[:n], np.float32)
    if given:
        matrix(x.astype(np.float64), y.astype(np.float64), np.float64).tofile(folder / "c.f64")
    else:
        x.tofile(folder / "x.f32")
        y.tofile(folder / "y.f32")


def read_images(path):
    if Path(path).suffix == ".f32":  # raw, 784 values each
        return np.fromfile(path, np.float32).reshape(-1, 784)
    import h5py

    with h5py.File(path) as f:
        return f["x"][:].astype(np.float32) / 127.5 - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=6, metavar="...", help=argparse.SUPPRESS)
    parser.add_argument("--bin", default="build/bin", help="folder of ot_exact_run")
    parser.add_argument("--lapx", default=sys.executable, help="python with lapx")
    parser.add_argument("--lap", default=None, help="python with lap; left out by default")
    parser.add_argument("--images", help="data set of 784 dimensions, or raw floats (.f32)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--dims", type=int, nargs="*", default=[2, 3, 64, 784])
    parser.add_argument("--matrix", type=int, nargs="*", default=[2, 3, 64], help="dimensions of given matrices")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--limit", type=float, default=100, help="seconds after which a peer is given up")
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.one:
        name, folder, n, d, given, repeat = options.one
        return run_peer(name, folder, int(n), int(d), given == "1", int(repeat))

    pythons = {"base": sys.executable, "lapx": options.lapx, "lap": options.lap}
    names = [name for name in options.peers if pythons[PEERS[name]]]
    images = read_images(options.images) if options.images else None
    problems = [(n, d, False) for n in options.sizes for d in options.dims if d != 784 or images is not None]
    problems += [(max(options.sizes), d, True) for d in options.matrix]
    report = {"cores": os.cpu_count(), "problems": []}
    for n, d, given in problems:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            write_problem(folder, n, d, images if d == 784 else None, given)
            rows = [time_monge(f"{options.bin}/ot_exact_run", folder, n, d, given, options.repeat)]
            for name in names:
                rows.append(time_peer(pythons[PEERS[name]], name, folder, n, d, given, options.repeat, options.limit))
        good = [r for r in rows[1:] if r.get("valid")]
        ratio = min((r["seconds"] for r in good), default=float("nan")) / rows[0]["seconds"]
        report["problems"].append({"n": n, "d": d, "matrix": given, "ratio": ratio, "rows": rows})
        gap = (rows[0]["upper"] - rows[0]["lower"]) / rows[0]["upper"]
        print(f"n = {n}, d = {d}{', matrix given' if given else ''}: fastest peer / monge = {ratio:.1f}, gap {gap:.1e}")
        for r in rows:
            off = r.get("cost", float("nan")) / rows[0]["cost"] - 1
            print(f"  {r['solver']:12} {r.get('seconds', float('nan')):8.4f} s  {r.get('dtype', ''):8} cost off by {off:9.1e}"
                  f"  {r.get('note', '')}", flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
