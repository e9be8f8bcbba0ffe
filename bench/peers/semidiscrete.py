#!/usr/bin/env python3
"""Semidiscrete potentials beside OTT-JAX's SemidiscreteSolver: seconds to the same chi-square of the marginal.

    python3 -m venv ott && ott/bin/pip install ott-jax
    ott/bin/python bench/peers/semidiscrete.py --bin build/bin --out bench/results/DATE-MACHINE-peers_semidiscrete.json

The atoms are a mixture of clusters; the source is the standard normal, the cost -<x, y>, epsilon 0. OTT-JAX takes steps of
its own solver (SGD) from zero, compiled and then timed without its error estimates, once for each step size; every so
many steps the chi-square of its potentials, the last and the averaged ones, is measured on fresh noise outside the time.
Its best step size counts. monge is ot_fit with default options, its checks included; its chi-square is measured alike.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np


def mixture(n, d, clusters, spread, seed):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, d))
    return (centres[np.arange(n) % clusters] + spread * rng.standard_normal((n, d))).astype(np.float32)


def chi_square(y, g, samples=100_000, seed=7):
    """Unbiased, of uniform weights."""
    rng, n = np.random.default_rng(seed), len(y)
    counts = np.zeros(n)
    for _ in range(samples // 4000):
        x = rng.standard_normal((4000, y.shape[1]), dtype=np.float32)
        counts += np.bincount((x @ y.T + g.astype(np.float32)).argmax(1), minlength=n)
    total = counts.sum()
    return float((counts * (counts - 1)).sum() * n / (total * (total - 1)) - 1)


def run_monge(bin_dir, y, repeat):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "y.npy", y)
        subprocess.run([bin_dir / "ot_data", "import", "cloud", folder / "y.npy", "--out", folder / "y.h5"], check=True,
                       stdout=subprocess.DEVNULL)
        runs = []
        for seed in range(repeat):
            subprocess.run([bin_dir / "ot_fit", folder / "y.h5", "--out", folder / "g.h5", "--seed", str(seed), "--json",
                            folder / "fit.json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            fit = json.loads((folder / "fit.json").read_text())
            runs.append({k: fit[k] for k in ("seconds", "check_seconds", "chi2", "chi2_upper", "samples_per_atom", "status")})
    total = sorted(r["seconds"] + r["check_seconds"] for r in runs)
    return {"runs": runs, "seconds": sorted(r["seconds"] for r in runs)[repeat // 2],
            "seconds_with_check": total[repeat // 2]}


def run_ott(y, step_size, batch, goal, most_seconds):
    import jax
    import jax.numpy as jnp
    import optax
    from ott.geometry import costs, semidiscrete_pointcloud
    from ott.problems.linear import semidiscrete_linear_problem
    from ott.solvers.linear import semidiscrete

    geometry = semidiscrete_pointcloud.SemidiscretePointCloud(
        lambda rng, shape, dtype: jax.random.normal(rng, shape, dtype), jnp.asarray(y),
        cost_fn=costs.NegDotProduct(), epsilon=0.0)
    problem = semidiscrete_linear_problem.SemidiscreteLinearProblem(geometry)
    most_steps = 1_000_000
    solver = semidiscrete.SemidiscreteSolver(num_iterations=most_steps, batch_size=batch, optimizer=optax.sgd(step_size))
    zero = jnp.zeros(len(y))
    state = semidiscrete.SemidiscreteState(
        it=jnp.array(0), epsilon=jnp.array(0.0), g=zero, g_ema=jnp.array(zero, copy=True), opt_state=solver.optimizer.init(zero),
        losses=jnp.zeros(most_steps), grad_norms=jnp.zeros(most_steps), errors=jnp.zeros(most_steps // 1000 + 1))

    def steps(state, key):
        return jax.lax.fori_loop(0, 50, lambda k, s: solver.step(jax.random.fold_in(key, s.it), s, problem), state)

    steps = jax.jit(steps)
    key, seconds, done, trace = jax.random.PRNGKey(0), 0.0, 0, []
    compiled = steps.lower(state, key).compile()
    look = 100
    while seconds < most_seconds:
        start = time.perf_counter()
        state = jax.block_until_ready(compiled(state, key))
        seconds += time.perf_counter() - start
        done += 50
        if done < look:
            continue
        look = int(look * 1.4) // 50 * 50 + 50
        error = min(chi_square(y, np.asarray(state.g)), chi_square(y, np.asarray(state.g_ema)))
        trace.append({"steps": done, "seconds": seconds, "chi2": error, "samples_per_atom": done * batch / len(y)})
        if error <= goal or not np.isfinite(error):
            break
    return {"step_size": step_size, "batch": batch, "trace": trace, "reached": trace[-1]["chi2"] <= goal}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", type=Path, default=Path("build/bin"))
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--atoms", type=int, default=4096)
    p.add_argument("--dims", type=int, default=128)
    p.add_argument("--spread", type=float, default=0.3)
    p.add_argument("--goal", type=float, default=0.05)
    p.add_argument("--step-sizes", type=float, nargs="+", default=[300.0, 1000.0, 3000.0, 10000.0])
    p.add_argument("--batches", type=int, nargs="+", default=[1024])
    p.add_argument("--most-seconds", type=float, default=120)
    p.add_argument("--repeat", type=int, default=3)
    a = p.parse_args()
    y = mixture(a.atoms, a.dims, 32, a.spread, 1)
    result = {"atoms": a.atoms, "dims": a.dims, "spread": a.spread, "goal": a.goal, "monge": run_monge(a.bin, y, a.repeat),
              "ott": []}
    print("monge", {k: v for k, v in result["monge"].items() if k != "runs"}, flush=True)
    for batch in a.batches:
        for step_size in a.step_sizes:
            run = run_ott(y, step_size, batch, a.goal, a.most_seconds)
            result["ott"].append(run)
            print(f"ott step {step_size:g} batch {batch}", run["trace"][-1], flush=True)
    reached = [r["trace"][-1]["seconds"] for r in result["ott"] if r["reached"]]
    result["ratio"] = min(reached) / result["monge"]["seconds"] if reached else None
    a.out.write_text(json.dumps(result, indent=1) + "\n")
    print("ratio of fits", result["ratio"])


if __name__ == "__main__":
    main()
