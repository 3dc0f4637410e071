"""The table of the path through which a class bias acts: effects of changing the class attention on Dice."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.shared import INTERVAL

TABLES: dict[str, Table] = {
    "path_controls": Table(
        (
            "method",
            "control",
            "target",
            "dose",
            "class",
        ),
        {
            "method": text("label of the method"),
            "control": text(
                "what was changed in the trained model. zeroed, permuted: its bias. uniform, removed, oracle, rolled: "
                "the weights of the class attention (equal; none; the true classes of each place; those of the class "
                "before). bias_dose: `dose` added to the bias of `target`; logit_dose: to its output logit; "
                "logit_matched: to its output logit what predicts it as often as after bias_dose"
            ),
            "target": text("class that is dosed; empty: no dose"),
            "dose": number("natural log-odds; 0: no dose"),
            "class": text("class name, or macro: mean over classes of the class's mean over units"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("units in which the class occurs, among those that the control was applied to"),
            "n_seeds": integer("runs per fold"),
            "n_models": integer("trained models"),
            "difference": number("Dice under the control minus Dice as trained: mean over units and models", "Dice"),
            **INTERVAL,
            "magnitude": number(
                "mean over models of |difference of the model|: signs that differ between models do not cancel; above "
                "0 by chance alone",
                "Dice",
            ),
            "share_of_ceiling": number(
                "difference / |difference under uniform weights| on the same images; empty unless that is `live`"
            ),
            "p": number("two-sided, of no difference, not corrected"),
            "p_tost": number("of a difference beyond the margin: two one-sided tests, not corrected"),
            "p_tost_holm": number("p_tost after Holm over the classes of one control; macro is tested alone"),
            "low_tost": number("lower end of the interval of these tests; inside the margin: equivalent", "Dice"),
            "high_tost": number("upper end of that interval", "Dice"),
            "predicted": number("share of labelled pixels predicted as the class under the control, mean over models"),
            "predicted_trained": number("the same as trained, on the same images"),
            "monotone": truth(
                "doses, class = target: the predicted share of the target never falls from the lowest dose over 0 to "
                "the highest, and rises over all of them; else False"
            ),
            "specific": truth(
                "doses, class = target: the share of the target moves in the direction of the dose, and at least as "
                "far as that of any other class; else False"
            ),
            "verdict": text(
                "uniform: inert (equivalent, and the mean |difference| over models inside the margin too), live (a "
                "difference is shown), undecided or not_testable. Others: better, worse, equivalent, undecided or "
                "not_testable; of a bias whose path is inert for the class: inert, unless it is better or worse"
            ),
        },
    ),
}
