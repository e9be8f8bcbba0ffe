#!/usr/bin/env python3
"""Methods on Fashion-MNIST at one budget: F-FID and sliced W2 at 1, 2, 4, 8 and 16 steps and dopri5.

    python3 bench/flow/fashion_table.py --bin build/bin --out runs/fashion-table --seconds 600 --seeds 3

--seconds: every method trains for as long, by the wall clock; what potentials took to fit counts as training. How many
steps that makes is measured first: the fewest seconds of --pilots runs of 256 steps (one pool of semidiscrete pairs),
taken in turns; the learning rate then falls to zero at the last step. --steps: as many steps for every method instead.
What is finished is not done again: the same command goes on after an interruption, to the same figures. Velocities are
integrated by Euler's method, maps (OT-NFM, MeanFlow, PSD) jump. Leaves table.md and table.json, written anew with every
run that is finished, and classes.png, of the conditional model at each guidance.
"""

import argparse
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = ["1", "2", "4", "8", "16"]
FIGURES = ["f_fid", "kid", "kid_error", "precision", "recall", "sliced_w2", "w2", "nfe"]


@dataclass
class Method:
    name: str
    config: str
    settings: list = field(default_factory=list)
    potentials: str = ""  # "plain" or "labels"; empty: none
    steps: list = field(default_factory=lambda: STEPS)
    sampling: list = field(default_factory=list)  # further arguments of sdfm_eval
    guidances: list = field(default_factory=lambda: [None])  # a row of the table each


def velocity(name, config, **rest):
    return Method(name, config, sampling=["--solver", "euler,dopri5"], **rest)


METHODS = {
    "cfm": velocity("CFM", "independent"),
    "ot_cfm_256": velocity("OT-CFM, batches of 256", "ot_cfm", settings=["coupling.ot_batch=256"]),
    "ot_cfm_2048": velocity("OT-CFM, batches of 2,048", "ot_cfm", settings=["coupling.ot_batch=2048"]),
    "sd_fm": velocity("SD-FM", "semidiscrete", potentials="plain"),
    "ot_nfm": Method("OT-NFM", "ot_nfm", potentials="plain", steps=["1"]),
    "mean_flow": Method("MeanFlow", "mean_flow", potentials="plain", sampling=["--solver", "map,dopri5"]),
    "psd": Method("PSD", "psd", potentials="plain", sampling=["--solver", "map,dopri5"]),
    "sd_fm_classes": velocity("SD-FM, classes", "semidiscrete_classes", potentials="labels", guidances=[1, 2, 3]),
}


def say(text):
    print(time.strftime("[%H:%M:%S]"), text, flush=True)


def read(path):
    return json.loads(path.read_text()) if path.exists() else None


def write(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


class Table:
    def __init__(self, a):
        self.a, self.out, self.data = a, a.out, a.data or a.out / "dataset.h5"
        self.methods = {key: METHODS[key] for key in a.only}
        self.out.mkdir(parents=True, exist_ok=True)
        self.plan = read(self.out / "plan.json") or {"budget": self.budget(), "pilots": {}, "steps": {}}
        if self.plan["budget"] != self.budget():
            raise SystemExit(f"fashion_table: error: {self.out} was made for the budget {self.plan['budget']}; "
                             "take another --out")

    def budget(self):
        return {"steps": self.a.steps} if self.a.steps else {"seconds": self.a.seconds}

    def program(self, name, *arguments):
        command = [self.a.bin / name, *arguments, "--threads", self.a.threads]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)

    def prepare(self):
        if not self.data.exists():
            say("importing Fashion-MNIST")
            subprocess.run([self.a.bin / "ot_data", "import", "fashion-mnist", "--out", self.data], check=True)
        for kind in sorted({m.potentials for m in self.methods.values()} - {""}):
            if (read(self.fit(kind)) or {}).get("status") != "converged":
                say(f"fitting potentials, {kind}")
                labels = ["--labels"] if kind == "labels" else []
                self.program("ot_fit", self.data, "--pca", 64, *labels, "--out", self.fit(kind).with_suffix(".h5"),
                             "--json", self.fit(kind))
        self.plan_steps()

    def fit(self, kind):
        return self.out / f"potentials-{kind}.json"

    def fit_seconds(self, method):
        fit = read(self.fit(method.potentials)) if method.potentials else None
        return fit["seconds"] + (fit["check_seconds"] or 0) if fit else 0.0

    def plan_steps(self):
        if not self.a.steps:
            self.run_pilots()
        for key, method in self.methods.items():
            if key in self.plan["steps"]:
                continue
            steps = self.a.steps
            if not steps:
                left = self.a.seconds - self.fit_seconds(method)
                steps = int(left / min(self.plan["pilots"][key]))
                if steps < 1:
                    raise SystemExit(f"fashion_table: error: the fit for {method.name} leaves {left:.0f} s of the budget")
            self.plan["steps"][key] = steps
        write(self.out / "plan.json", json.dumps(self.plan, indent=1) + "\n")

    def run_pilots(self):
        pilots = self.plan["pilots"]
        for turn in range(self.a.pilots):
            for key in self.methods:
                if len(pilots.setdefault(key, [])) > turn or key in self.plan["steps"]:
                    continue
                folder = self.out / "pilots" / f"{key}-{turn}-{os.getpid()}"
                self.train(key, 0, self.a.pilot_steps, folder)
                pilots[key].append(self.train_seconds(folder) / self.a.pilot_steps)
                say(f"pilot of {key}: {1e3 * pilots[key][-1]:.1f} ms a step")
                write(self.out / "plan.json", json.dumps(self.plan, indent=1) + "\n")

    def train(self, key, seed, steps, folder):
        if (folder / "config.toml").exists():
            self.program("sdfm_train", "--resume", folder)
            return
        method = self.methods[key]
        settings = [f"data.file={self.data}", f"train.steps={steps}", "output.log_every=10", "output.sample_rows=0",
                    *method.settings]
        if method.potentials:
            settings.append(f"coupling.potentials={self.fit(method.potentials).with_suffix('.h5')}")
        config = REPOSITORY / "configs" / f"fashion_mnist_{method.config}.toml"
        self.program("sdfm_train", config, *[part for s in settings for part in ("--set", s)], "--seed", seed, "--out",
                     folder)

    @staticmethod
    def train_seconds(folder):
        return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]

    def evaluation(self, key, seed, guidance):
        name = "eval.json" if guidance is None else f"eval-{guidance}.json"
        found = read(self.out / f"{key}-{seed}" / name)
        return found if found and found["complete"] else None

    def run(self, key, seed):
        method, folder = self.methods[key], self.out / f"{key}-{seed}"
        missing = [g for g in method.guidances if not self.evaluation(key, seed, g)]
        if not missing:
            return
        say(f"training {method.name}, seed {seed}, {self.plan['steps'][key]} steps")
        self.train(key, seed, self.plan["steps"][key], folder)
        for guidance in missing:
            say(f"evaluating {method.name}, seed {seed}" + (f", guidance {guidance}" if guidance else ""))
            name, more = "eval.json", []
            if guidance is not None:
                name, more = f"eval-{guidance}.json", ["--guidance", guidance]
            self.program("sdfm_eval", folder / "checkpoint.h5", "--data", self.data, "--steps", ",".join(method.steps),
                         "--samples", self.a.samples, "--exact", min(2000, self.a.samples), *method.sampling, *more,
                         "--features", self.a.features, "--json", folder / name)
        self.write_tables()

    def picture(self):
        folder = self.out / "sd_fm_classes-0"
        if "sd_fm_classes" in self.methods and not (self.out / "classes.png").exists():
            guidances = ",".join(str(g) for g in self.methods["sd_fm_classes"].guidances)
            self.program("sdfm_sample", folder / "checkpoint.h5", "--class", "all", "--guidance", guidances, "--steps", 16,
                         "--out", self.out / "classes.png")

    def collect(self):
        """A row of the table for each method and guidance that has a run."""
        rows, floor, features = [], None, None
        for key, method in self.methods.items():
            for guidance in method.guidances:
                found = [(s, e) for s in range(self.a.seeds) if (e := self.evaluation(key, s, guidance))]
                if not found:
                    continue
                floor, features = found[0][1]["floor"], found[0][1].get("features_digest")
                figures = {}
                for _, evaluation in found:
                    for row in evaluation["rows"]:
                        at = "dopri5" if row["solver"] == "dopri5" else str(row["steps"])
                        for name in FIGURES:
                            figures.setdefault(at, {}).setdefault(name, []).append(row.get(name))
                seconds = [self.train_seconds(self.out / f"{key}-{s}") for s, _ in found]
                rows.append({"method": method.name + (f", guidance {guidance}" if guidance else ""),
                             "config": f"fashion_mnist_{method.config}", "settings": method.settings,
                             "train_steps": self.plan["steps"][key], "seeds": [s for s, _ in found],
                             "train_seconds": seconds, "fit_seconds": self.fit_seconds(method), "figures": figures})
        return rows, floor, features

    def write_tables(self):
        rows, floor, features = self.collect()
        record = {"budget": self.plan["budget"], "pilots": self.plan["pilots"], "cores": os.cpu_count(),
                  "threads": self.a.threads, "samples": self.a.samples, "features_digest": features, "floor": floor,
                  "rows": rows}
        write(self.out / "table.json", json.dumps(record, indent=1) + "\n")
        text = ""
        for title, name, digits in [("F-FID", "f_fid", 2), ("Sliced W2", "sliced_w2", 4), ("KID", "kid", 3),
                                    ("Precision", "precision", 3), ("Recall", "recall", 3)]:
            if floor and floor.get(name) is not None:
                text += f"{title}, train vs test {floor[name]:.{digits}f}\n\n" + markdown(rows, name, digits) + "\n"
        write(self.out / "table.md", text)


def cell(values, digits):
    values = [v for v in values or [] if v is not None]
    if not values:
        return ""
    text = f"{sum(values) / len(values):.{digits}f}"
    return text if len(values) == 1 else text + " (" + ", ".join(f"{v:.{digits}f}" for v in values) + ")"


def markdown(rows, name, digits):
    columns = STEPS + ["dopri5"]
    text = "| method | training | " + " | ".join(columns) + " | nfe of dopri5 |\n" + "|---" * (len(columns) + 3) + "|\n"
    for row in rows:
        seconds = sum(row["train_seconds"]) / len(row["train_seconds"]) + row["fit_seconds"]
        cells = [row["method"], f"{row['train_steps']:,} steps, {seconds:.0f} s"]
        cells += [cell(row["figures"].get(at, {}).get(name), digits) for at in columns]
        cells.append(cell(row["figures"].get("dopri5", {}).get("nfe"), 0))
        text += "| " + " | ".join(cells) + " |\n"
    return text


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be positive")
    return value


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", type=Path, default=REPOSITORY / "build/bin")
    p.add_argument("--out", type=Path, default=Path("runs/fashion-table"))
    p.add_argument("--data", type=Path, help="data file; imported into --out when left out")
    budget = p.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=positive, help="of training, for each method and seed")
    budget.add_argument("--steps", type=positive, help="as many for each method, instead")
    p.add_argument("--seeds", type=positive, default=1, help="seeds 0, 1, ...")
    p.add_argument("--only", default=",".join(METHODS), help="methods, by commas: %(default)s")
    p.add_argument("--pilots", type=positive, default=2)
    p.add_argument("--pilot-steps", type=positive, default=256)
    p.add_argument("--samples", type=positive, default=10000)
    p.add_argument("--features", default="auto", help="as of sdfm_eval")
    p.add_argument("--threads", type=int, default=0)
    a = p.parse_args()
    a.only = a.only.split(",")
    if unknown := set(a.only) - set(METHODS):
        p.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    a.bin, a.out = a.bin.resolve(), a.out.resolve()
    table = Table(a)
    try:
        table.prepare()
        for seed in range(a.seeds):
            for key in table.methods:
                table.run(key, seed)
        table.picture()
        table.write_tables()
    except KeyboardInterrupt:
        raise SystemExit(130)  # the program that ran has saved what it had
    except subprocess.CalledProcessError as e:
        raise SystemExit(f"fashion_table: error: {' '.join(e.cmd[:2])} ended with status {e.returncode}")
    print((a.out / "table.md").read_text())


if __name__ == "__main__":
    main()
