#!/usr/bin/env python3
"""The two-dimensional tables: every method on every data set with several seeds, by the programs alone.

    bench/flow/plane_table.py --bin build/bin --work runs/plane_table --seeds 5 \\
        --out bench/results/DATE-MACHINE-plane_table.json --markdown docs/plane_table_rows.md

A run is a row of the table and a seed: of the data (10,000 training points, 10,000 fresh test points), of the training
and of the noise that samples start from. Each is trained with its config of configs/ and measured by sdfm_eval with
exact W2 between 10,000 samples and the 10,000 test points; the floor is that of the training points in the place of
samples. What is in --work is not made again, so that the script goes on where it was stopped. docs/plane_table.md says
whose conventions the data follow.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import time
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

# Data sets, and what ot_data is told.
DATA = {
    "moons": ["moons"],
    "s-curve": ["s-curve"],
    "8gaussians-1": ["8gaussians", "--noise", "1"],
    "8gaussians": ["8gaussians"],
    "wide-moons": ["wide-moons"],
    "wide-moons-many": ["wide-moons", "--points", "1000000"],  # what potentials take for a law
    "checkerboard": ["checkerboard"],
}

# Published W2 and normalised path energy (Tong et al., TMLR 2024) of OT-CFM.
W2 = {"moons": 0.111, "s-curve": 0.102, "8gaussians-1": 0.253, "moons-8gaussians": 0.716}

CONFIG_OF = {"I-CFM": "plane_cfm", "OT-CFM": "plane_ot_cfm", "SD-FM": "plane_sdfm"}


def rows():
    """name -> data, config, settings, options of sdfm_eval."""
    found = {}
    for data in ("moons", "s-curve", "8gaussians-1", "8gaussians"):
        for method, config in CONFIG_OF.items():
            found[f"{data}/{method}"] = {"data": data, "config": config, "eval": ["--steps", "20", "--paths"]}
    for method, kind in (("I-CFM", "independent"), ("OT-CFM", "minibatch")):
        found[f"moons-8gaussians/{method}"] = {
            "data": "8gaussians", "source": "wide-moons", "config": "plane_moons_to_8gaussians",
            "set": [f"coupling.kind={kind}"], "eval": ["--steps", "20", "--paths"]}
    found["moons-8gaussians/SD-FM"] = {"data": "8gaussians", "source": "wide-moons-many",
                                       "config": "plane_moons_to_8gaussians_sdfm", "eval": ["--steps", "20", "--paths"]}
    nfm = {"data": "wide-moons", "source": "8gaussians", "config": "plane_ot_nfm_pairs", "eval": ["--steps", "1"]}
    found["8gaussians-moons/OT-NFM independent"] = nfm | {"set": ["coupling.pairs=", "coupling.kind=independent"],
                                                           "exact": 2000}  # slow where all samples are one
    found["8gaussians-moons/OT-NFM minibatch"] = nfm | {"set": ["coupling.pairs=", "coupling.kind=minibatch"]}
    found["8gaussians-moons/OT-NFM global"] = nfm | {"pairs": True}
    found["8gaussians/OT-NFM semidiscrete"] = {"data": "8gaussians", "config": "plane_ot_nfm", "eval": ["--steps", "1"]}
    for method, config in (("LSD", "plane_lsd"), ("PSD", "plane_psd"), ("MeanFlow", "plane_mean_flow")):
        found[f"checkerboard/{method}"] = {"data": "checkerboard", "config": config,
                                           "eval": ["--solver", "map", "--steps", "1,2,4,8", "--dopri5"]}
    return found


class Runner:
    def __init__(self, a):
        self.bin, self.work, self.threads = a.bin, a.work, ["--threads", str(a.threads)]
        (self.work / "data").mkdir(parents=True, exist_ok=True)

    def run(self, program, *arguments):
        command = [str(self.bin / program), *map(str, arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")

    def data(self, name, seed):
        path = self.work / "data" / f"{name}-{seed}.h5"
        if not path.exists():
            self.run("ot_data", "generate", *DATA[name], "--seed", seed, "--out", path)
        return path

    def pairs(self, source, data, seed):
        path = self.work / "data" / f"{source}-{data}-pairs-{seed}.h5"
        if not path.exists():
            self.run("ot_solve", f"{self.data(source, seed)}:/x", f"{self.data(data, seed)}:/x", "--solver", "exact",
                     "--pairs", path)
        return path

    def measure(self, name, row, seed):
        folder = self.work / f"{re.sub('[^A-Za-z0-9-]+', '_', name)}-{seed}"
        result = folder / "eval.json"
        if not result.exists():
            data = self.data(row["data"], seed)
            settings = [f"data.file={data}", *row.get("set", [])]
            evaluation = ["--data", data, "--exact", row.get("exact", 10000), "--seed", seed, "--json", result, *row["eval"]]
            if row.get("pairs"):
                settings.append(f"coupling.pairs={self.pairs(row['source'], row['data'], seed)}")
            elif "source" in row:
                settings.append(f"coupling.source={self.data(row['source'], seed)}")
            if "source" in row:
                evaluation += ["--source", self.data(row["source"], seed)]
            subprocess.run(["rm", "-rf", folder], check=True)
            flags = [part for setting in settings for part in ("--set", setting)]
            start = time.perf_counter()
            self.run("sdfm_train", CONFIGS / f"{row['config']}.toml", *flags, "--seed", seed, "--out", folder, *self.threads)
            (folder / "wall.json").write_text(json.dumps(time.perf_counter() - start))
            self.run("sdfm_eval", folder / "checkpoint.h5", *evaluation, *self.threads)
        found = json.loads(result.read_text())
        log = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
        keys = ("solver", "steps", "nfe", "sliced_w2", "w2", "variance_ratio", "normalised_path_energy", "curvature",
                "crossing", "seconds")
        return {"row": name, "seed": seed, "rows": [{k: r[k] for k in keys if k in r} for r in found["rows"]],
                "floor": found["floor"], "squared_w2": found.get("squared_w2"), "train_seconds": log["seconds"],
                "train_program_seconds": json.loads((folder / "wall.json").read_text())}


def mean(values):
    return statistics.fmean(values)


def each(values, digits=3):
    """'0.111 +- 0.005 (0.105 0.111 ...)'"""
    spread = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{spread} ({' '.join(f'{v:.{digits}f}' for v in values)})"


def group(results):
    found = {}
    for r in results:
        found.setdefault(r["row"], []).append(r)
    return found


def markdown(results):
    runs, lines = group(results), []
    lines += ["| data | method | W2, Euler 20: mean +- deviation (each seed) | floor | published OT-CFM | NPE | training, s |",
              "|---|---|---|---|---|---|---|"]
    for name, r in runs.items():
        data, method = name.split("/")
        if method not in CONFIG_OF:
            continue
        w2 = [x["rows"][0]["w2"] for x in r]
        published = W2.get(data)
        bar = f"{published:.3f} ({mean(w2) / published - 1:+.0%})" if published else ""
        npe = each([x["rows"][0]["normalised_path_energy"] for x in r])
        lines.append(f"| {data} | {method} | {each(w2)} | {mean([x['floor']['w2'] for x in r]):.3f} | {bar} | {npe} | "
                     f"{max(x['train_program_seconds'] for x in r):.0f} |")
    lines += ["", "| data | one evaluation of | variance over the data's | W2 | floor |", "|---|---|---|---|---|"]
    for name, r in runs.items():
        data, method = name.split("/")
        if method.startswith("OT-NFM"):
            lines.append(f"| {data} | {method} | {each([x['rows'][0]['variance_ratio'] for x in r])} | "
                         f"{each([x['rows'][0]['w2'] for x in r])} | {mean([x['floor']['w2'] for x in r]):.3f} |")
    lines += ["", "| checkerboard, sliced W2 | 1 jump | 2 | 4 | 8 | dopri5 of v_tt | 8 jumps / dopri5 | floor |",
              "|---|---|---|---|---|---|---|---|"]
    for name, r in runs.items():
        if not name.startswith("checkerboard"):
            continue
        at = [[x["rows"][k]["sliced_w2"] for x in r] for k in range(5)]
        lines.append(f"| {name.split('/')[1]} | " + " | ".join(each(v) for v in at) +
                     f" | {mean(at[3]) / mean(at[4]):.2f} | {mean([x['floor']['sliced_w2'] for x in r]):.3f} |")
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", type=Path, default=Path("build/bin"))
    p.add_argument("--work", type=Path, default=Path("runs/plane_table"))
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--only", default="", help="rows whose name holds this regular expression")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--out", type=Path)
    p.add_argument("--markdown", type=Path)
    a = p.parse_args()
    runner, results = Runner(a), []
    chosen = {name: row for name, row in rows().items() if re.search(a.only, name)}
    for seed in range(a.seeds):
        for name, row in chosen.items():
            results.append(runner.measure(name, row, seed))
            r = results[-1]
            print(name, seed, *(f"{x['solver']}-{x['steps']} w2 {x['w2']:.4f} sliced {x['sliced_w2']:.4f}" for x in r["rows"]),
                  f"floor {r['floor']['w2']:.4f}", f"{r['train_program_seconds']:.0f} s", flush=True)
    results.sort(key=lambda r: list(chosen).index(r["row"]))
    if a.out:
        a.out.write_text(json.dumps({"seeds": a.seeds, "threads": a.threads, "cores": os.cpu_count(), "runs": results}, indent=1) + "\n")
    table = markdown(results)
    if a.markdown:
        a.markdown.write_text(table)
    print(table)


if __name__ == "__main__":
    main()
