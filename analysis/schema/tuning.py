"""Tables of the trials, choices and costs of tuning; without rows in a study that tuned nothing."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.shared import decided_difference

_METHOD = text("label of the method in the study")
_SELECTED = "the score that settings were chosen by, pooled over images, mean over runs"

TABLES: dict[str, Table] = {
    "tuning": Table(
        ("method",),
        {
            "method": _METHOD,
            "select": text("the score that settings were chosen by: macro_dice, macro_iou or worst_dice"),
            "trials": integer("trials of the method, the same number for every method"),
            "different": integer("trials with a setting of their own: those that were trained"),
            "winner": integer("trial that won on validation images; 0 is the method as the study file has it"),
            "setting": text("what was drawn for it; empty for trial 0"),
            "validation_default": number(f"trial 0 on validation images: {_SELECTED}"),
            "validation_winner": number("the winner likewise: optimistic, as the best of several"),
            "validation_again": number("the winner's setting on the same images with the study's own seeds"),
            "test_default": number("trial 0 on test images, with the seeds of tuning"),
            "test_winner": number("the winner on test images, with the seeds of tuning"),
            "test_again": number("the winner's setting on test images with the study's own seeds: what counts"),
            "test_oracle": number("the best trial in full on test images, seeds of tuning: no tuning can choose it"),
            "optimism_of_seeds": number("validation_winner minus validation_again: the part that is luck of the seeds"),
            "optimism_of_gain": number("gain over trial 0 on validation images minus the gain on test images"),
            "tuning_steps": integer("optimiser steps of all its trials together"),
            "tuning_seconds": number("time of all its trials together", "s"),
            "study_steps": integer("optimiser steps of its runs in the study itself"),
            "study_seconds": number("time of its runs in the study itself", "s"),
        },
    ),
    "tuning_effects": Table(
        ("method", "class"),
        {
            "method": _METHOD,
            "class": text("as in comparisons.csv"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("test units in which the class occurs; for macro, any class"),
            "n_seeds": integer("seeds of tuning"),
            "of_tuned": number("Dice of the winner: mean over units, seeds averaged first; for macro, over classes"),
            "of_tuned_low": number("lower end of its 95 % interval", "Dice"),
            "of_tuned_high": number("upper end of it", "Dice"),
            "of_default": number("the same of trial 0", "Dice"),
            "of_default_low": number("lower end of its 95 % interval", "Dice"),
            "of_default_high": number("upper end of it", "Dice"),
            **decided_difference(
                "tuned minus default on test images, paired by unit and seed of tuning",
                "p after Holm: macro rows over methods; class rows over methods and classes",
                "better, worse (tuned against default), equivalent, undecided or not_testable",
            ),
        },
    ),
    "tuning_trials": Table(
        ("method", "trial"),
        {
            "method": _METHOD,
            "trial": integer("number; 0 is the method as the study file has it"),
            "label": text("label of its runs in the folder `tuning`; trials with equal settings share them"),
            "setting": text("what was drawn; empty for trial 0"),
            "validation": number(f"on validation images: {_SELECTED}"),
            "test": number("the same on test images, which the choice does not see"),
            "winner": truth("whether it was chosen"),
            "in_full": truth(
                "whether it was trained to the end; else halving dropped it, and scores are of its last rung"
            ),
            "first_rung": number("validation score after the first rung of halving; without halving, `validation`"),
            "steps": integer("optimiser steps of its runs, of all rungs together"),
            "seconds": number("time of its runs, of all rungs together", "s"),
        },
    ),
    "tuning_budgets": Table(
        ("method", "trials"),
        {
            "method": _METHOD,
            "trials": integer("budget n: the default and n - 1 of the drawn trials, without replacement"),
            "validation": number("expected best validation score of n trials (Dodge et al. 2019)"),
            "test": number("expected test score of the trial that would have been chosen, with the seeds of tuning"),
            "rank": number("rank of the method by `test` when all trials are made, 1 = best"),
            "rank_low": number("lower end of the 95 % interval of its rank over the choices of n trials"),
            "rank_high": number("upper end of it"),
            "p_best": number("share of these choices in which the method is first; ties share it"),
            "kendall_tau": number("mean of Kendall's tau-b of the order with n trials and the order with all"),
            "subsets": integer("choices of n trials behind the row: all, or 5000 drawn at random"),
        },
    ),
    "tuning_options": Table(
        ("method", "option"),
        {
            "method": _METHOD,
            "option": text("option that was drawn; `part.option` in a composed method"),
            "n": integer("different drawn trials behind the row; the default, which was not drawn, is left out"),
            "levels": integer("number of different values among them"),
            "low": number("smallest value that was drawn; empty if values are not numbers"),
            "high": number("greatest value"),
            "spearman": number(
                "rank correlation of the value with the validation score over these trials; with halving, with that "
                "of the first rung"
            ),
            "p": number("two-sided, over all pairings; not corrected, and options vary together"),
            "min_p": number("smallest p that so few trials could give"),
            "spread": number("if values are not numbers: greatest minus least mean score of a value"),
        },
    ),
}
