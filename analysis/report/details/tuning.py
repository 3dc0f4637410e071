"""Details on tuning: its choices, their effects, and its cost."""

from analysis.report.details.cells import Detail, measured, name, number, p, span, verdict

DETAILS = (
    Detail(
        "tuning",
        "What tuning chose, and what it cost",
        "Scores by which settings are chosen, pooled over images. Validation scores of winners are optimistic. Test "
        "scores use the seeds of tuning, except the last, which comes from the runs of the study.",
        {
            "method": name("method"),
            "trial": number("winner", 0),
            "setting": name("setting"),
            "validation, default": number("validation_default", 3),
            "validation, winner": number("validation_winner", 3),
            "validation, other seeds": number("validation_again", 3),
            "test, default": number("test_default", 3),
            "test, winner": number("test_winner", 3),
            "test, best trial": number("test_oracle", 3),
            "test, other seeds": number("test_again", 3),
            "seconds of tuning": number("tuning_seconds", 0),
            "seconds of the study": number("study_seconds", 0),
        },
    ),
    Detail(
        "tuning_effects",
        "Default and tuned setting on test images",
        "Paired by unit and seed of tuning; the p values are corrected over all methods that tuning changed.",
        {
            "method": name("method"),
            "class": name("class"),
            "default": span("of_default", "of_default_low", "of_default_high"),
            "tuned": span("of_tuned", "of_tuned_low", "of_tuned_high"),
            "difference": span("difference", "low", "high", with_sign=True),
            "p (Holm)": p("p_holm"),
            "verdict": verdict,
        },
    ),
    Detail(
        "tuning_budgets",
        "What fewer trials would have chosen",
        "Averages over all choices of n of the trials. Ranks are by the test score of the trial that would be chosen. "
        "Empty if halving dropped trials before their end.",
        {
            "method": name("method"),
            "trials": number("trials", 0),
            "expected best on validation": number("validation", 3),
            "its test score": number("test", 3),
            "rank with all trials": span("rank", "rank_low", "rank_high", 1),
            "share in which it is first": number("p_best", 2),
            "Kendall's tau": number("kendall_tau", 2),
        },
    ),
    Detail(
        "tuning_options",
        "Which options matter",
        "Rank correlation of the drawn value with the validation score, without correction. Few trials show little.",
        {
            "method": name("method"),
            "option": name("option"),
            "n": number("n", 0),
            "from": measured("low"),
            "to": measured("high"),
            "Spearman's rho": number("spearman", 2, with_sign=True),
            "p": p("p"),
            "smallest possible p": p("min_p"),
            "spread over words": number("spread", 3),
        },
    ),
)
