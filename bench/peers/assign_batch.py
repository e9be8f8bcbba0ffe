#!/usr/bin/env python3
"""Batches of small assignments beside their peers: seconds from points to every optimum, the costs included.

    python3 -m venv base && base/bin/pip install numpy scipy threadpoolctl
    base/bin/python bench/peers/assign_batch.py --bin build/bin --out bench/results/DATE-MACHINE-peers_assign_batch.json
    python3 bench/peers/assign_batch.py --bin bin --device 0     on the first GPU

Each problem: n normal points onto n others, float32. scipy solves them in processes on all cores, which have the clouds
before the clock starts; torch-linear-assignment, where it is installed, on the GPU with costs from torch.cdist. monge (ot_exact_run) goes from
the host's points to proven optima on the device. Medians of `--repeat` runs; mean costs are compared.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import threadpoolctl


def squared_distances(x, y):
    return (x * x).sum(1)[:, None] + (y * y).sum(1)[None, :] - 2 * x @ y.T


CLOUDS = []  # of a worker


def start_worker(x, y):
    import scipy.optimize  # noqa: F401, so that it is there before the clock starts

    threadpoolctl.threadpool_limits(1)
    CLOUDS[:] = x, y


def solve(k):
    from scipy.optimize import linear_sum_assignment

    cost = squared_distances(CLOUDS[0][k], CLOUDS[1][k])
    rows, cols = linear_sum_assignment(cost)
    return float(cost[rows, cols].mean())


def median_of(repeat, run):
    times, cost = [], None
    for _ in range(repeat + 1):  # the first is not counted
        start = time.perf_counter()
        cost = run()
        times.append(time.perf_counter() - start)
    return {"seconds": float(np.median(times[1:])), "times": times[1:], "cost": cost}


def time_scipy(x, y, repeat):
    with multiprocessing.get_context("spawn").Pool(initializer=start_worker, initargs=(x, y)) as pool:
        return {"solver": "scipy", "processes": os.cpu_count(),
                **median_of(repeat, lambda: float(np.mean(pool.map(solve, range(len(x))))))}


def time_torch(x, y, repeat):
    try:
        import torch
        from torch_linear_assignment import batch_linear_assignment
    except ImportError as error:
        return {"solver": "torch-linear-assignment", "note": str(error)}
    x, y = torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()

    def run():
        cost = torch.cdist(x, y) ** 2
        columns = batch_linear_assignment(cost)
        return cost.gather(2, columns[:, :, None].long()).mean().item()

    return {"solver": "torch-linear-assignment", **median_of(repeat, run)}


def time_monge(binary, x, y, repeat, device):
    problems, n, d = x.shape
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("x.f32", "y.f32")]
        for file, points in zip(files, (x, y)):
            points.tofile(file)
        command = [binary, "batch", *files, problems, n, d, repeat, device]
        out = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    report = json.loads(out)
    return {"solver": f"monge {device}", "seconds": float(np.median(report["times"])), **report}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", help="folder of ot_exact_run")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU's number")
    parser.add_argument("--n", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out")
    options = parser.parse_args()
    report = {"cores": os.cpu_count(), "problems": []}
    for n in options.n:
        rng = np.random.default_rng(1)
        x, y = (rng.standard_normal((options.problems, n, options.d), dtype=np.float32) for _ in range(2))
        rows = [time_monge(f"{options.bin}/ot_exact_run", x, y, options.repeat, options.device),
                time_scipy(x, y, options.repeat)]
        if options.device != "cpu":
            rows.append(time_torch(x, y, options.repeat))
        report["problems"].append({"n": n, "d": options.d, "problems": options.problems, "rows": rows})
        print(f"{options.problems} problems of {n} x {n}, d = {options.d}")
        for r in rows:
            ratio = f"{r['seconds'] / rows[0]['seconds']:7.2f}" if "seconds" in r else "      -"
            print(f"  {r['solver']:24} {r.get('seconds', float('nan')):8.4f} s {ratio}  cost {r.get('cost')}  "
                  f"{r.get('note', r.get('status', ''))}", flush=True)
        if options.out:
            Path(options.out).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
