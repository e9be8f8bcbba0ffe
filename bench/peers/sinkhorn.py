#!/usr/bin/env python3
"""Sinkhorn beside its peers: seconds from two clouds to an L1 marginal error of 1e-3, checked in double by this script.

    python3 -m venv venv && venv/bin/pip install numpy POT ott-jax torch geomloss pykeops
    venv/bin/python bench/peers/sinkhorn.py --bin build/bin --out bench/results/DATE-MACHINE-peers_sinkhorn.json

Clouds: x ~ N(0, I), y around 16 centres, both n x d, float32; epsilon relative to the mean cost. Each peer runs in a
process of its own and stops by its own test, with the loosest threshold (GeomLoss: the coarsest schedule) that reaches
the error, found by trying; it is then timed with this one, its cost matrix included, compilation and warm-up excluded:
the median of `--repeat` runs. monge (ot_solve) is timed as it comes, its certificate included.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

THRESHOLDS = [1e-2 * 2.0 ** (-k / 2) for k in range(32)]
SCHEDULES = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995]
TOLERANCE = 1e-3


def clouds(n, d, seed):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((16, d))
    x = rng.standard_normal((n, d))
    y = centres[np.arange(n) % 16] + 0.2 * rng.standard_normal((n, d))
    return x.astype(np.float32), y.astype(np.float32)


def cost_rows(x, y, rows):
    xs, ys = x[rows].astype(np.float64), y.astype(np.float64)
    return (xs**2).sum(1)[:, None] + (ys**2).sum(1)[None, :] - 2 * xs @ ys.T


def mean_cost(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    return (x**2).sum(1).mean() + (y**2).sum(1).mean() - 2 * x.mean(0) @ y.mean(0)


def marginal_error(x, y, epsilon, f, g):
    """L1 error of both marginals of exp((f + g - c) / epsilon) / (n m), in double."""
    n, m = len(x), len(y)
    f, g = np.asarray(f, np.float64).ravel(), np.asarray(g, np.float64).ravel()
    error, columns = 0.0, np.zeros(m)
    for first in range(0, n, 1000):
        rows = slice(first, min(n, first + 1000))
        with np.errstate(over="ignore", invalid="ignore"):
            plan = np.exp((f[rows, None] + g[None, :] - cost_rows(x, y, rows)) / epsilon) / (n * m)
        error += np.abs(plan.sum(1) - 1 / n).sum()
        columns += plan.sum(0)
    return float(error + np.abs(columns - 1 / m).sum())


# Each peer: prepare(x, y, epsilon) -> run(effort) -> (f, g), potentials in units of the squared distance.


def pot(backend, method):
    def prepare(x, y, epsilon):
        import ot

        n, m = len(x), len(y)
        if backend == "torch":
            import torch

            x, y = torch.from_numpy(x), torch.from_numpy(y)
            a, b = torch.full((n,), 1 / n), torch.full((m,), 1 / m)
            log = torch.log
        else:
            a, b = np.full(n, 1 / n, np.float32), np.full(m, 1 / m, np.float32)
            log = np.log

        def run(threshold):
            cost = ot.dist(x, y)
            _, state = ot.sinkhorn(a, b, cost, np.float32(epsilon), method=method, numItermax=100000,
                                   stopThr=threshold, log=True, warn=False)
            if "log_u" in state:
                u, v = state["log_u"], state["log_v"]
            else:
                u, v = log(state["u"]), log(state["v"])
            return epsilon * (u + np.log(n)), epsilon * (v + np.log(m))

        return run

    return prepare, THRESHOLDS


def ott(geometry, lse):
    def prepare(x, y, epsilon):
        import jax
        import jax.numpy as jnp
        from ott.geometry import geometry as dense
        from ott.geometry import pointcloud
        from ott.problems.linear import linear_problem
        from ott.solvers.linear import sinkhorn

        def solve(x, y, threshold):
            if geometry == "dense":
                c = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
                g = dense.Geometry(cost_matrix=c, epsilon=epsilon)
            else:
                g = pointcloud.PointCloud(x, y, epsilon=epsilon)
            out = sinkhorn.Sinkhorn(lse_mode=lse, threshold=threshold, max_iterations=100000)(
                linear_problem.LinearProblem(g))
            return out.f, out.g

        x, y = jnp.asarray(x), jnp.asarray(y)
        n, m = len(x), len(y)
        compiled = functools.cache(
            lambda threshold: jax.jit(solve, static_argnums=2).lower(x, y, threshold).compile())

        def run(threshold):
            f, g = jax.block_until_ready(compiled(threshold)(x, y))
            return f + epsilon * np.log(n), g + epsilon * np.log(m)

        run.compile = compiled
        return run

    return prepare, THRESHOLDS


def geomloss(backend):
    def prepare(x, y, epsilon):
        import torch
        from geomloss import SamplesLoss

        x, y = torch.from_numpy(x), torch.from_numpy(y)

        def run(scaling):  # its cost is half the squared distance, its epsilon blur^2
            loss = SamplesLoss("sinkhorn", p=2, blur=float(np.sqrt(epsilon / 2)), scaling=scaling, debias=False,
                               potentials=True, backend=backend)
            with torch.no_grad():
                f, g = loss(x, y)
            return 2 * f, 2 * g

        return run

    return prepare, SCHEDULES


PEERS = {
    "POT numpy": pot("numpy", "sinkhorn"),
    "POT numpy log": pot("numpy", "sinkhorn_log"),
    "POT torch": pot("torch", "sinkhorn"),
    "POT torch log": pot("torch", "sinkhorn_log"),
    "OTT dense": ott("dense", False),
    "OTT dense lse": ott("dense", True),
    "OTT points lse": ott("points", True),
    "GeomLoss tensorised": geomloss("tensorized"),
    "GeomLoss KeOps": geomloss("online"),
}


def run_peer(name, n, d, relative, seed, repeat, limit):
    """In a process of its own: prints a JSON line per finding, the last of which counts."""
    x, y = clouds(n, d, seed)
    epsilon = float(relative * mean_cost(x, y))
    prepare, efforts = PEERS[name]
    prepare(x[:500], y[:500], epsilon)(efforts[2])
    run = prepare(x, y, epsilon)
    spent, errors = 0.0, {}

    def reaches(k):
        nonlocal spent
        if hasattr(run, "compile"):
            run.compile(efforts[k])
        start = time.perf_counter()
        f, g = run(efforts[k])
        seconds = time.perf_counter() - start
        spent += seconds
        errors[k] = marginal_error(x, y, epsilon, f, g)
        if errors[k] == min(errors.values()):
            print(json.dumps({"reached": errors[k] <= TOLERANCE, "effort": efforts[k], "error": errors[k], "seconds": seconds}), flush=True)
        return errors[k] <= TOLERANCE

    # The first effort that is enough: steps of doubling, then halving in between.
    step = 4 if efforts is THRESHOLDS else 1
    high = step
    while not reaches(high):
        if high + step >= len(efforts):
            return
        high += step
    low = high - step
    while high - low > 1 and spent <= limit / 3:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run(efforts[high])
        times.append(time.perf_counter() - start)
    print(json.dumps({"effort": efforts[high], "error": errors[high], "seconds": float(np.median(times)),
                      "times": times}))


def time_peer(name, problem, limit):
    command = [sys.executable, __file__, "--one", name, *map(str, problem), str(limit)]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        lines, note = out.stdout, out.stderr.strip().splitlines()[-1:] if out.returncode else []
    except subprocess.TimeoutExpired as e:
        lines, note = (e.stdout or b"").decode(), [f"stopped after {limit:g} s of trying"]
    found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    result = found[-1] if found else {"reached": False}
    return {"solver": name, **result, **({"note": note[0]} if note else {})}


def time_monge(binary, n, d, relative, seed, repeat):
    x, y = clouds(n, d, seed)
    epsilon = relative * mean_cost(x, y)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", y)
        times = []
        for _ in range(repeat):
            subprocess.run([binary, folder / "x.npy", folder / "y.npy", "--solver", "sinkhorn", "--epsilon", str(relative),
                            "--relative", "--tolerance", str(TOLERANCE), "--json", folder / "r.json",
                            "--potentials", folder / "p.npy"], check=True, stdout=subprocess.DEVNULL)
            report = json.loads((folder / "r.json").read_text())
            times.append(report["seconds"])
        potentials = np.load(folder / "p.npy")
        error = marginal_error(x, y, epsilon, potentials[:n], potentials[n:])
    return {"solver": "monge", "error": error, "seconds": float(np.median(times)), "times": times, **{
        key: report[key] for key in ("status", "iterations", "cost", "lower", "upper", "peak_mb")}}


def gemm_seconds(n, d, repeat):
    x, y = clouds(n, d, 1)
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        x @ y.T
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=7, metavar="...", help=argparse.SUPPRESS)
    parser.add_argument("--bin", default="build/bin", help="folder of ot_solve")
    parser.add_argument("--n", type=int, default=10000)
    parser.add_argument("--dims", type=int, nargs="+", default=[3, 64, 784])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.05, 0.005])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a peer is given up")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.one:
        name, n, d, relative, seed, repeat, limit = options.one
        return run_peer(name, int(n), int(d), float(relative), int(seed), int(repeat), float(limit))

    from importlib.metadata import version

    packages = ["numpy", "POT", "ott-jax", "jax", "torch", "geomloss", "pykeops"]
    report = {"cores": os.cpu_count(), "versions": {p: version(p) for p in packages}, "problems": []}
    for d in options.dims:
        for relative in options.epsilons:
            problem = (options.n, d, relative, 1, options.repeat)
            rows = [time_monge(f"{options.bin}/ot_solve", *problem)]
            rows += [time_peer(name, problem, options.limit) for name in options.peers]
            reached = [r["seconds"] for r in rows[1:] if r.get("reached", True)]
            entry = {"n": options.n, "d": d, "epsilon": relative, "gemm_seconds": gemm_seconds(options.n, d, options.repeat),
                     "ratio": min(reached) / rows[0]["seconds"] if reached else None, "rows": rows}
            report["problems"].append(entry)
            print(f"n = {options.n}, d = {d}, epsilon = {relative}: fastest peer / monge = {entry['ratio']}, "
                  f"GEMM {entry['gemm_seconds']:.3f} s")
            for r in rows:
                print(f"  {r['solver']:20} {r.get('seconds', float('nan')):8.3f} s  error {r.get('error', float('nan')):.2e}"
                      f"  effort {r.get('effort', r.get('iterations'))}  {'' if r.get('reached', True) else 'not reached '}"
                      f"{r.get('note', '')}", flush=True)
            if options.out:
                Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
