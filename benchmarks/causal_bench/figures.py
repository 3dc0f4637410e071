"""Figures of the causal bench; they compute nothing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import figure_style, freeze_layout, heat_map, new_figure, save, spare_grid
from analysis.reading.palette import CONTROL_COLOUR, GRID, INK, METHOD_COLOURS, METHOD_MARKERS, MUTED
from analysis.topics.ledger_quantities import GIVEN_BIAS
from analysis.verdicts import Word
from benchmarks.causal_bench.answers import DICE, PLANTED, WEIGHTS, Answers
from benchmarks.causal_bench.design import GIVEN
from imbalance_bench.data.phantom import FACTORS
from imbalance_bench.table_schemas import PathControl

CAUSE_WORDS = {"share": "frequency", "ambiguity": "ambiguity", "morphology": "morphology", "context": "context"}
HARDER_WORDS = CAUSE_WORDS | {"share": "rarity"}
MARKS = {Word.SUPPORTED: "●", Word.NOT_SEPARABLE: "?", Word.UNRELIABLE: "~", Word.INERT: "x"}
SHOWN = (GIVEN_BIAS, "loss_weight", "difficulty", "change", "effective_offset", DICE)
"""Quantities of the matrix, in its order."""
COLOUR_OF_WORD = {"better": "#009e73", "worse": "#d55e00", "equivalent": "#0072b2"}
INCHES_PER_ROW = 0.2
LIGHT = 1.8  # end of the colours of the matrix; beyond 1, so that text stays legible on its cells


def draw_matrix(answers: Answers, series: str, decoder: str) -> Figure:
    """Draw Spearman's rho of every per-class quantity with every planted cause, and its verdict as a mark."""
    rows = _of(answers.attribution, series, decoder)
    rows = rows[(rows["by"] == PLANTED) & rows["quantity"].isin(SHOWN)]
    rows = rows[(rows["quantity"] == GIVEN_BIAS) | ~rows["method"].str.startswith(GIVEN)]
    rows = rows.assign(order=rows["quantity"].map(SHOWN.index)).sort_values("order", kind="stable")
    keys = list(dict.fromkeys(zip(rows["quantity"], rows["method"], strict=True)))
    cells = rows.set_index(["quantity", "method", "cause"])
    rho = np.array([[_cell(cells, (*key, cause), "spearman") for cause in FACTORS] for key in keys], dtype=float)
    words = [[str(_cell(cells, (*key, cause), "verdict")) for cause in FACTORS] for key in keys]
    labels = np.array(
        [[_label(value, word) for value, word in zip(*row, strict=True)] for row in zip(rho, words, strict=True)]
    )
    figure = new_figure(6.4, 1.3 + INCHES_PER_ROW * len(keys))
    axes = figure.subplots()
    heat_map(axes, rho, labels, cmap="RdBu_r", vmin=-LIGHT, vmax=LIGHT, annot_kws={"size": 7})
    axes.set_xticklabels([CAUSE_WORDS[cause] for cause in FACTORS])
    axes.set_yticklabels([f"{quantity.replace('_', ' ')} of {method}" for quantity, method in keys], fontsize=7)
    axes.xaxis.tick_top()
    begins = [number for number in range(1, len(keys)) if keys[number][0] != keys[number - 1][0]]
    for number in begins:
        axes.axhline(number, color=INK, linewidth=1)
    legend = "   ".join(f"{mark} {word.replace('_', ' ')}" for word, mark in MARKS.items())
    axes.set_xlabel(f"Spearman's rho with the planted level; {series}, {decoder}\n{legend}", fontsize=7)
    freeze_layout(figure)
    return figure


def _cell(cells: pd.DataFrame, key: tuple[str, str, str], column: str) -> object:
    return cells.loc[key, column] if key in cells.index else float("nan")


def _label(rho: float, word: str) -> str:
    if np.isnan(rho):
        return ""
    return f"{rho:+.2f} {MARKS.get(Word(word), '')}".strip()


def draw_path(answers: Answers) -> Figure:
    """Draw, for every decoder, what other attention weights do to macro Dice, and what doses on a class do."""
    arms = list(answers.path[["series", "decoder"]].drop_duplicates().itertuples(index=False, name=None))
    figure = new_figure(9.0, 3.4)
    ceilings, shares, dice = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    for number, arm in enumerate(arms):
        colour, marker = METHOD_COLOURS[number % len(METHOD_COLOURS)], METHOD_MARKERS[number % len(METHOD_MARKERS)]
        offset = 0.7 * ((number + 0.5) / len(arms) - 0.5)
        rows = _of(answers.path, *arm)
        for place, control in enumerate(WEIGHTS):
            part = rows[rows["control"] == str(control)]
            x = np.full(len(part), place + offset)
            ceilings.plot(x, part["difference"], linestyle="", marker=marker, color=colour, markersize=4)
            ceilings.vlines(x, part["low"], part["high"], color=colour, linewidth=0.8)
        doses = _of(answers.doses, *arm)
        doses = doses[doses["control"] == str(PathControl.BIAS_DOSE)]
        for axes, column in ((shares, "share"), (dice, "dice")):
            axes.plot(doses["dose"], doses[column], color=colour, marker=marker, markersize=3.5, linewidth=1.1)
        ceilings.plot([], [], color=colour, marker=marker, markersize=4, label=f"{arm[1]}, {arm[0]}")
    ceilings.set_xticks(range(len(WEIGHTS)), [str(control) for control in WEIGHTS])
    ceilings.set_title("other attention weights, one point a method", fontsize=8)
    ceilings.set_ylabel("macro Dice minus as trained, points", fontsize=8)
    for axes, title in ((shares, "predicted share of the dosed class, points"), (dice, "macro Dice, points")):
        axes.set_title(title, fontsize=8)
        axes.set_xlabel("dose on the bias of a class, log-odds", fontsize=8)
    for axes in (ceilings, shares, dice):
        axes.axhline(0, color=GRID, linewidth=0.8, zorder=0)
        spare_grid(axes, "y")
    figure.legend(loc="outside upper left", ncols=min(len(arms), 4), fontsize=7.5)
    freeze_layout(figure)
    return figure


def draw_slopes(table: pd.DataFrame, series: str, decoder: str, title: str) -> Figure:
    """Draw slopes with their intervals, a panel for each factor and a row for each method."""
    rows = _of(table, series, decoder)
    methods = list(dict.fromkeys(rows["method"]))
    figure = new_figure(9.0, 1.2 + INCHES_PER_ROW * len(methods))
    panels: Sequence[Axes] = figure.subplots(1, len(FACTORS), sharey=True, sharex=True)
    for axes, factor in zip(panels, FACTORS, strict=True):
        axes.axvline(0, color=GRID, linewidth=0.8, zorder=0)
        for row in rows[rows["factor"] == factor].to_dict("records"):
            place, colour = methods.index(row["method"]), COLOUR_OF_WORD.get(str(row["verdict"]), CONTROL_COLOUR)
            axes.plot(row["slope"], place, marker="o", color=colour, markersize=4)
            axes.hlines(place, row["low"], row["high"], color=colour, linewidth=1.2)
        axes.set_title(HARDER_WORDS[factor], fontsize=8.5)
        axes.tick_params(labelleft=axes is panels[0])
        spare_grid(axes, "x")
    panels[0].set_yticks(range(len(methods)), methods, fontsize=7.5)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    panels[0].set_ylabel(" ", fontsize=5)  # room that the layout leaves too little of for the longest label
    if rows["slope"].isna().all():
        panels[0].set_xlim(-1, 1)
    refusal = next((str(each) for each in rows["refusal"] if each), "")
    figure.suptitle(f"{title}; {series}, {decoder}" + (f"\nnot fitted: {refusal}" if refusal else ""), fontsize=8.5)
    words = ", ".join(
        f"{name} {word}" for word, name in (("better", "green"), ("worse", "orange"), ("equivalent", "blue"))
    )
    figure.supxlabel(
        f"points of Dice from the easiest to the hardest level, 95 % interval; {words}, grey undecided",
        fontsize=8,
        color=MUTED,
    )
    freeze_layout(figure)
    return figure


def _of(table: pd.DataFrame, series: str, decoder: str) -> pd.DataFrame:
    return table[(table["series"] == series) & (table["decoder"] == decoder)]


def write_figures(answers: Answers, folder: Path, *, suffix: str = ".svg") -> list[Path]:
    """Draw everything; return the files."""
    arms = list(answers.effects[["series", "decoder"]].drop_duplicates().itertuples(index=False, name=None))
    files = []
    with figure_style():
        files.append(save(draw_path(answers), folder / f"path{suffix}"))
        for series, decoder in arms:
            name = f"{series}_{decoder}{suffix}"
            files.append(save(draw_matrix(answers, series, decoder), folder / f"matrix_{name}"))
            effects = draw_slopes(answers.effects, series, decoder, "Which planted factor changes Dice")
            files.append(save(effects, folder / f"effects_{name}"))
            repair = draw_slopes(answers.repair, series, decoder, "Difference to cross_entropy: what repairs what")
            files.append(save(repair, folder / f"repair_{name}"))
    return files
