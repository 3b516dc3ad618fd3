"""Compares methods by the traces that `strategies.py` left: tables as Markdown, and plots.

    python benchmarks/replay/report.py bayes optuna.tpe optuna.gp --on core --plot core.svg

Compared are the runs (table, seed) that every method has, with as many trials as the fewest any has; how many, is said.
Regret is normalized: 0 is a table's best, 1 its median. First the mean regret over runs and the mean rank at 25, 50,
100 and 200 trials. A rank is of a method's mean regret over seeds among all methods', on one table. Friedman's test
asks whether the ranks differ at all; two methods whose mean ranks are less than the critical difference (CD; Nemenyi,
5 %) apart are tied (Demšar 2006, "Statistical comparisons of classifiers over multiple data sets"). Methods that are
tied with the first are marked *.

Then the trials to reach the regret that `--reference` has at its end: from the mean curve of all runs, and by kind of
table. The plot shows mean regret against trials with 95 % bands: bootstrap over tables and, within them, seeds.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import tables
import traces

BUDGETS = (25, 50, 100, 200)


class Comparison:
    """Regrets `(methods, tables, seeds, trials)` of the best so far, over the runs that all methods have."""

    def __init__(self, folder: Path, methods: list[str], names: list[str]) -> None:
        runs = {method: traces.read(folder, method) for method in methods}
        common = set.intersection(*({run for run in had if run[0] in names} for had in runs.values()))
        self.methods, self.tables = methods, [name for name in names if any(run[0] == name for run in common)]
        seeds = [{seed for table, seed in common if table == name} for name in self.tables]
        self.seeds = sorted(set.intersection(*seeds)) if seeds else []
        if not self.seeds:
            counts = ", ".join(f"{method} {len(had)}" for method, had in runs.items())
            raise SystemExit(f"no seed was run on these tables by all methods; there are these runs: {counts}")
        chosen = [[[runs[m][table, seed] for seed in self.seeds] for table in self.tables] for m in methods]
        self.trials = min(trace.trials for had in chosen for row in had for trace in row)
        self.regrets = np.array([[[t.curve()[: self.trials] for t in row] for row in had] for had in chosen])
        self.seconds = np.array([[[t.seconds / t.trials for t in row] for row in had] for had in chosen])
        self.repeats = np.array([[[t.repeats / t.trials for t in row] for row in had] for had in chosen])

    def ranks(self, budget: int) -> np.ndarray:
        """Returns `(methods, tables)`: 1 is the method of least mean regret over seeds; ties share their mean rank."""
        from scipy.stats import rankdata

        return np.asarray(rankdata(self.regrets[..., budget - 1].mean(axis=2), axis=0))


def friedman(ranks: np.ndarray) -> float:
    """Returns the probability of ranks `(methods, tables)` that differ so much if no method is better than another."""
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*ranks).pvalue)


def critical_difference(methods: int, tables: int) -> float:
    """Returns the difference of mean ranks that two methods differ by with 95 % confidence (Nemenyi)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(0.95, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * tables))


def overview(compared: Comparison) -> str:
    """Returns mean regrets and mean ranks by method as a Markdown table, with the tests beneath."""
    budgets = [budget for budget in BUDGETS if budget <= compared.trials]
    ranks = {budget: compared.ranks(budget) for budget in budgets}
    apart = critical_difference(len(compared.methods), len(compared.tables)) if len(compared.methods) > 1 else 0.0
    heads = [f"regret at {b}" for b in budgets] + [f"rank at {b}" for b in budgets] + ["ms a trial", "repeats"]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for i, method in enumerate(compared.methods):
        cells = [f"{compared.regrets[i, ..., budget - 1].mean():.4f}" for budget in budgets]
        for budget in budgets:
            means = ranks[budget].mean(axis=1)
            cells.append(f"{means[i]:.2f}{'*' if means[i] < means.min() + apart else ''}")
        cells += [f"{1000 * compared.seconds[i].mean():.0f}", f"{compared.repeats[i].mean():.1%}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    if len(compared.methods) > 2:  # of two, Friedman's test has nothing to say
        tests = ", ".join(f"{friedman(ranks[budget]):.1g} at {budget}" for budget in budgets)
        lines += ["", f"Friedman: p = {tests}. Critical difference of mean ranks: {apart:.2f}."]
    return "\n".join(lines)


def reaching(compared: Comparison, reference: str) -> str:
    """Returns, as Markdown, the trials that each method needs for the regret of the reference's last trial."""
    kinds = {table.split("/")[0]: None for table in compared.tables}
    rows = {"all": list(range(len(compared.tables)))}
    rows |= {kind: [i for i, t in enumerate(compared.tables) if t.startswith(f"{kind}/")] for kind in kinds}
    curves = {row: compared.regrets[:, chosen].mean(axis=(1, 2)) for row, chosen in rows.items()}  # (methods, trials)
    targets = {row: means[compared.methods.index(reference), -1] for row, means in curves.items()}
    heads = [f"{row} ({target:.4f})" for row, target in targets.items()]
    lines = [f"| trials to the regret of {reference} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for i, method in enumerate(compared.methods):
        cells = [_first(means[i] <= targets[row]) for row, means in curves.items()]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _first(reached: np.ndarray) -> str:
    return str(int(np.argmax(reached)) + 1) if reached.any() else f"> {len(reached)}"


def by_table(compared: Comparison) -> str:
    """Returns, as Markdown, each method's mean regret on each table at the end."""
    lines = [f"| regret at {compared.trials} | {' | '.join(compared.methods)} |"]
    lines.append("|---" * (len(compared.methods) + 1) + "|")
    for i, name in enumerate(compared.tables):
        means = compared.regrets[:, i, :, -1].mean(axis=1)
        lines.append(f"| {name} | {' | '.join(f'{mean:.4f}' for mean in means)} |")
    return "\n".join(lines)


def bands(regrets: np.ndarray, draws: int = 500) -> np.ndarray:
    """Returns the 2.5 % and 97.5 % quantiles `(2, trials)` of the mean of regrets `(tables, seeds, trials)`."""
    rng = np.random.default_rng(0)
    n, seeds, _ = regrets.shape
    means = []
    for _ in range(draws):
        chosen = rng.integers(n, size=n)
        means.append(regrets[chosen[:, None], rng.integers(seeds, size=(n, seeds))].mean(axis=(0, 1)))
    return np.quantile(means, [0.025, 0.975], axis=0)


def plot(compared: Comparison, path: Path) -> None:
    """Draws mean regret against trials, with bands."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "leadline", "svg.fonttype": "none"})  # the same file for the same data
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    at = np.unique(np.geomspace(5, compared.trials, 60).astype(int))
    for i, method in enumerate(compared.methods):
        regrets = compared.regrets[i][..., at - 1]
        (line,) = axes.plot(at, regrets.mean(axis=(0, 1)), label=method)
        axes.fill_between(at, *bands(regrets), color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel="trials", ylabel="mean normalized regret (replayed)")
    axes.set_xticks([b for b in (5, 10, *BUDGETS) if b <= compared.trials])
    axes.xaxis.set_major_formatter("{x:.0f}")
    low, high = axes.get_ylim()
    axes.set_yticks([y for y in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if low <= y <= high])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_title(f"{len(compared.tables)} tables, {len(compared.seeds)} seeds", fontsize="medium")
    axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--on", nargs="+", choices=[*tables.SETS, *tables.ALL], default=["report"], metavar="TABLE")
    parser.add_argument("--reference", default="optuna.tpe", help="whose regret at the end is to be reached")
    parser.add_argument("--by-table", action="store_true", help="show the regrets of each table, too")
    parser.add_argument("--plot", type=Path, help="an SVG file to draw")
    parser.add_argument("--traces", type=Path, default=traces.HERE)
    asked = parser.parse_args()
    compared = Comparison(asked.traces, asked.methods, tables.named(asked.on))
    print(f"{len(compared.tables)} tables, {len(compared.seeds)} seeds, {compared.trials} trials\n")
    print(overview(compared))
    if asked.reference in compared.methods:
        print(f"\n{reaching(compared, asked.reference)}")
    if asked.by_table:
        print(f"\n{by_table(compared)}")
    if asked.plot:
        plot(compared, asked.plot)


if __name__ == "__main__":
    main()
