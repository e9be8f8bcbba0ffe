#!/usr/bin/env python3
"""Sinkhorn beside its peers: seconds from two clouds to an L1 marginal error of 1e-3, checked in double by this script.

    python3 -m venv venv && venv/bin/pip install numpy POT ott-jax torch geomloss pykeops
    venv/bin/python bench/peers/sinkhorn.py --bin build/bin --out bench/results/DATE-MACHINE-peers_sinkhorn.json
    python3 bench/peers/sinkhorn.py --bin bin --device cuda --n 10000 50000 --dims 64 --epsilons 0.05     on a GPU

Clouds: x ~ N(0, I), y around 16 centres, both n x d, float32; epsilon relative to the mean cost. Each peer runs in a
process of its own and stops by its own test, with the loosest threshold (GeomLoss: the coarsest schedule) that reaches
the error, found by trying; it is then timed with this one, its cost matrix included, compilation and warm-up excluded:
the median of `--repeat` runs. monge (ot_sinkhorn_run) is timed as it comes, its certificate included, in one process
after a first run as well. On a GPU the peers' points are there already, monge's are copied in its time; products of
OTT-JAX are asked for in float32, FlashSinkhorn (pip install flash-sinkhorn) is tried in TF32 and without.
"""

import argparse
import functools
import importlib.metadata
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

THRESHOLDS = [1e-2 * 2.0 ** (-k / 2) for k in range(32)]
ITERATIONS = [int(5 * 2.0 ** (k / 2)) for k in range(24)]
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


def marginal_error_on_gpu(x, y, epsilon, f, g):
    import torch

    x, y, f, g = (torch.as_tensor(v, dtype=torch.float64, device="cuda") for v in (x, y, f, g))
    n, m = len(x), len(y)
    error, columns = 0.0, torch.zeros_like(g)
    for first in range(0, n, 1000):
        rows = slice(first, first + 1000)
        cost = (x[rows] ** 2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x[rows] @ y.T
        plan = torch.exp((f[rows, None] + g[None, :] - cost) / epsilon) / (n * m)
        error += (plan.sum(1) - 1 / n).abs().sum().item()
        columns += plan.sum(0)
    return error + (columns - 1 / m).abs().sum().item()


def marginal_error(x, y, epsilon, f, g, device):
    """L1 error of both marginals of exp((f + g - c) / epsilon) / (n m), in double."""
    n, m = len(x), len(y)
    if device == "cuda":
        return marginal_error_on_gpu(x, y, epsilon, to_numpy(f), to_numpy(g))
    f, g = np.asarray(f, np.float64).ravel(), np.asarray(g, np.float64).ravel()
    error, columns = 0.0, np.zeros(m)
    for first in range(0, n, 1000):
        rows = slice(first, min(n, first + 1000))
        with np.errstate(over="ignore", invalid="ignore"):
            plan = np.exp((f[rows, None] + g[None, :] - cost_rows(x, y, rows)) / epsilon) / (n * m)
        error += np.abs(plan.sum(1) - 1 / n).sum()
        columns += plan.sum(0)
    return float(error + np.abs(columns - 1 / m).sum())


def to_numpy(v):
    return np.asarray(v.cpu() if hasattr(v, "cpu") else v, np.float64).ravel()


def in_torch(device, *arrays):
    import torch

    return [torch.from_numpy(v).to(device) for v in arrays]


# Each peer: prepare(x, y, epsilon, device) -> run(effort) -> (f, g), potentials in units of the squared distance.


def pot(backend, method):
    def prepare(x, y, epsilon, device):
        import ot

        n, m = len(x), len(y)
        if backend == "torch":
            import torch

            x, y = in_torch(device, x, y)
            a, b = torch.full((n,), 1 / n, device=device), torch.full((m,), 1 / m, device=device)
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
    def prepare(x, y, epsilon, device):
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
    def prepare(x, y, epsilon, device):
        import torch
        from geomloss import SamplesLoss

        x, y = in_torch(device, x, y)

        def run(scaling):  # its cost is half the squared distance, its epsilon blur^2
            loss = SamplesLoss("sinkhorn", p=2, blur=float(np.sqrt(epsilon / 2)), scaling=scaling, debias=False,
                               potentials=True, backend=backend)
            with torch.no_grad():
                f, g = loss(x, y)
            return 2 * f, 2 * g

        return run

    return prepare, SCHEDULES


def flash(tf32):
    def prepare(x, y, epsilon, device):
        import torch
        from flash_sinkhorn.sinkhorn_solvers import sinkhorn_flashstyle_alternating

        x, y = in_torch(device, x, y)
        a, b = (torch.full((len(v),), 1 / len(v), device=device) for v in (x, y))

        def run(iterations):
            with torch.no_grad():
                return sinkhorn_flashstyle_alternating(x, y, a, b, eps=epsilon, n_iters=iterations, allow_tf32=tf32)

        return run

    return prepare, ITERATIONS


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
ON_GPUS_ONLY = {"FlashSinkhorn TF32": flash(True), "FlashSinkhorn float": flash(False)}


def run_peer(name, n, d, relative, seed, repeat, limit, device):
    """In a process of its own: prints a JSON line per finding, the last of which counts."""
    x, y = clouds(n, d, seed)
    epsilon = float(relative * mean_cost(x, y))
    prepare, efforts = (PEERS | ON_GPUS_ONLY)[name]
    prepare(x[:500], y[:500], epsilon, device)(efforts[2])
    run = prepare(x, y, epsilon, device)

    def timed(effort):
        start = time.perf_counter()
        potentials = run(effort)
        if device == "cuda" and "torch" in sys.modules:
            sys.modules["torch"].cuda.synchronize()
        return time.perf_counter() - start, potentials

    timed(efforts[0])  # what is compiled or tuned for this size is so now
    spent, errors = 0.0, {}

    def reaches(k):
        nonlocal spent
        if hasattr(run, "compile"):
            run.compile(efforts[k])
        seconds, (f, g) = timed(efforts[k])
        spent += seconds
        errors[k] = marginal_error(x, y, epsilon, f, g, device)
        if errors[k] == min(errors.values()):
            print(json.dumps({"reached": errors[k] <= TOLERANCE, "effort": efforts[k], "error": errors[k], "seconds": seconds}), flush=True)
        return errors[k] <= TOLERANCE

    # The first effort that is enough: steps of doubling, then halving in between.
    step = 1 if efforts is SCHEDULES else 4
    high = step
    while not reaches(high):
        if high + step >= len(efforts):
            return
        high += step
    low = high - step
    while high - low > 1 and spent <= limit / 3:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    times = [timed(efforts[high])[0] for _ in range(repeat)]
    print(json.dumps({"effort": efforts[high], "error": errors[high], "seconds": float(np.median(times)),
                      "times": times}))


def time_peer(name, problem, limit, device):
    command = [sys.executable, __file__, "--one", name, *map(str, problem), str(limit), device]
    environment = os.environ | {"JAX_PLATFORMS": device, "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
                                "JAX_DEFAULT_MATMUL_PRECISION": "float32"}
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
        lines, note = out.stdout, out.stderr.strip().splitlines()[-1:] if out.returncode else []
    except subprocess.TimeoutExpired as e:
        lines, note = (e.stdout or b"").decode(), [f"stopped after {limit:g} s of trying"]
    found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    result = found[-1] if found else {"reached": False}
    return {"solver": name, **result, **({"note": note[0]} if note else {})}


def time_monge(binary, n, d, relative, seed, repeat, device):
    x, y = clouds(n, d, seed)
    epsilon = relative * mean_cost(x, y)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        x.tofile(folder / "x.f32")
        y.tofile(folder / "y.f32")
        command = [binary, folder / "x.f32", folder / "y.f32", n, n, d, relative, TOLERANCE,
                   "0" if device == "cuda" else "cpu", repeat, folder / "p.f64"]
        out = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
        potentials = np.fromfile(folder / "p.f64")
        error = marginal_error(x, y, epsilon, potentials[:n], potentials[n:], device)
    report = json.loads(out)
    return {"solver": "monge", "error": error, "seconds": float(np.median(report["times"])), **report}


def gemm_seconds(n, d, repeat):
    x, y = clouds(n, d, 1)
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        x @ y.T
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def versions():
    found = {}
    for package in ["numpy", "POT", "ott-jax", "jax", "torch", "geomloss", "pykeops", "flash-sinkhorn"]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=8, metavar="...", help=argparse.SUPPRESS)
    parser.add_argument("--bin", default="build/bin", help="folder of ot_sinkhorn_run")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--n", type=int, nargs="+", default=[10000])
    parser.add_argument("--dims", type=int, nargs="+", default=[3, 64, 784])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.05, 0.005])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS | ON_GPUS_ONLY))
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a peer is given up")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.one:
        name, n, d, relative, seed, repeat, limit, device = options.one
        return run_peer(name, int(n), int(d), float(relative), int(seed), int(repeat), float(limit), device)

    report = {"cores": os.cpu_count(), "device": options.device, "versions": versions(), "problems": []}
    for n, d, relative in itertools.product(options.n, options.dims, options.epsilons):
        problem = (n, d, relative, 1, options.repeat)
        rows = [time_monge(f"{options.bin}/ot_sinkhorn_run", *problem, options.device)]
        rows += [time_peer(name, problem, options.limit, options.device) for name in options.peers]
        reached = [r["seconds"] for r in rows[1:] if r.get("reached", True)]
        entry = {"n": n, "d": d, "epsilon": relative, "gemm_seconds": gemm_seconds(n, d, options.repeat) if options.device == "cpu" else None,
                 "ratio": min(reached) / rows[0]["seconds"] if reached else None, "rows": rows}
        report["problems"].append(entry)
        gemm = f", GEMM {entry['gemm_seconds']:.3f} s" if entry["gemm_seconds"] else ""
        print(f"n = {n}, d = {d}, epsilon = {relative}: fastest peer / monge = {entry['ratio']}{gemm}")
        for r in rows:
            print(f"  {r['solver']:20} {r.get('seconds', float('nan')):8.4f} s  error {r.get('error', float('nan')):.2e}"
                  f"  effort {r.get('effort', r.get('iterations'))}  {'' if r.get('reached', True) else 'not reached '}"
                  f"{r.get('note', '')}", flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
