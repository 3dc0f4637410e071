"""What the words of the report mean, in one place."""

from analysis.verdicts import Word

TERMS: dict[str, str] = {
    "ablation of the bias": "The learned bias of a trained model is set to zero, permuted or shifted, and Dice is "
    "measured again: causal for the model, not for tissue.",
    "attainability": "What this study could have shown at all: the smallest p value or difference that its numbers of "
    "slides, seeds and classes allow, computed before looking at any result.",
    "attention mass": "The share of the attention that the image pays to the token of a class.",
    "bias": "One number per class that a method adds inside the model: where it is larger, the class is attended to or "
    "predicted more. Only differences between classes of one run mean something.",
    "ceiling": "How far Dice moves when the whole class attention is taken away; the effect of a bias is given as a "
    "share of it.",
    "change of the bias": "The bias at the end of training minus its start: what training added.",
    "construct": "A kind of difficulty: frequency, boundary ambiguity, morphology, context. Each has one primary "
    "measure, fixed beforehand; all others are exploratory.",
    "control": "The method that every other is compared with, under the same splits, initial weights and batches.",
    "decay": "The change goes against the start of the bias: it is taken back, and what goes with it is the start.",
    "Dice": "Overlap of prediction and truth, 0 to 1; macro Dice is its mean over the classes that occur.",
    "dose": "A known number added to the bias, or to the output logit, of one class of a trained model.",
    "effective offset": "The attention logit of a class, mean over image tokens and heads, centred over classes: what "
    "the bias and everything else the decoder learned come to, also for a method without a bias of its own.",
    "equivalent": "The corrected interval lies within the margin of the plan, so the methods do the same for practice.",
    "Holm": "A correction for testing several things at once: with it, one false finding among all is as rare as one "
    "test alone would make it.",
    "ICC": "Intraclass correlation of the seeds: how far independent runs learn the same numbers. Below the floor of "
    "the plan nothing learned is interpreted.",
    "inert": "The class attention that a bias acts on does not reach the prediction, so the bias can explain nothing.",
    "inertia": "The final bias still shows its start: what it follows says what the start follows.",
    "interval": "Where the true value lies with 95 % confidence, over slides or patients and seeds.",
    "ledger": "The record of every class quantity of a run over training: biases, loss weights, gradients, offsets.",
    "live": "The prediction changes when the class attention is taken away: the path of the bias is read.",
    "partial association": "How much of a learned quantity one construct explains beyond the other.",
    "phantom": "Simulated tissue, of which the truth is known because it was planted.",
    "seed": "One repetition of training, with other initial weights and another order of the batches.",
    "unit": "What counts as independent: a slide or patient where they are known, otherwise an image.",
    "VIF": "Variance inflation: how far two measures of the classes say the same. Above the limit of the plan, rare "
    "and hard are not separable.",
}

# The four words of a comparison are marked by colour and sign; all others are open unless they are a finding.
WORDS: dict[Word, str] = {
    Word.BETTER: "the corrected interval lies above 0",
    Word.WORSE: "the corrected interval lies below 0",
    Word.EQUIVALENT: "shown to do the same, within the margin of the plan",
    Word.UNDECIDED: "neither a difference nor equivalence is shown",
    Word.SUPPORTED: "the tests find it, after correction",
    Word.NOT_SUPPORTED: "the tests do not find it, which is absence of evidence",
    Word.NOT_TESTABLE: "these data could not have shown it; the reason is given",
    Word.NOT_SEPARABLE: "something is found, but rare and hard cannot be told apart",
    Word.INERTIA: "mostly the start of the bias, not learning",
    Word.DECAY: "the start of the bias, taken back",
    Word.TESTABLE: "these data can show it",
    Word.RELIABLE: "seeds agree on it",
    Word.UNRELIABLE: "seeds are not shown to agree, so it is not interpreted",
    Word.INERT: "does not reach the prediction",
    Word.LIVE: "reaches the prediction",
    Word.SOUND: "nothing stands against it",
    Word.LIMITED: "holds with the limit that is named",
}
