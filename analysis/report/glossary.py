"""The glossary of the report; the words of verdicts are explained where they are declared (`Word.meaning`)."""

TERMS: dict[str, str] = {
    "ablation of the bias": "The learned bias of a trained model is set to zero, permuted or shifted, and Dice is "
    "measured again: causal for the model, not for tissue.",
    "attainability": "What this study can show at all: the smallest p value or difference that its numbers of slides, "
    "seeds and classes allow, computed before looking at any result.",
    "attention mass": "The share of the attention of the image that goes to the token of a class.",
    "bias": "One number per class that a method adds inside the model: where it is larger, the class is attended to or "
    "predicted more. Only differences between classes of one run mean something.",
    "ceiling": "The change of Dice when every place attends to all classes equally; the effect of a bias is given as a "
    "share of it.",
    "change of the bias": "The bias at the end of training minus its start: what training added.",
    "construct": "A kind of difficulty: frequency, boundary ambiguity, morphology, context. Each has one primary "
    "measure, fixed beforehand; all others are exploratory.",
    "control": "The method that every other is compared with, under the same splits, initial weights and batches.",
    "decay": "The change reverses the start of the bias, so that what the change follows is the start.",
    "Dice": "Overlap of prediction and truth, 0 to 1; macro Dice is its mean over the classes that occur.",
    "dose": "A known number added to the bias, or to the output logit, of one class of a trained model.",
    "effective offset": "The attention logit of a class, averaged over image tokens and heads, and centred over "
    "classes: the total effect of the bias and of everything else that the decoder learned, also for a method without "
    "a bias.",
    "equivalent": "The corrected interval lies within the margin of the plan, so the methods are the same in practice.",
    "Holm": "A correction for several tests: with it, a false finding among all of them is as rare as in one test.",
    "ICC": "Intraclass correlation of the seeds: how far independent runs learn the same numbers. Below the floor of "
    "the plan, nothing that was learned is interpreted.",
    "inert": "The prediction does not depend on what the class attention learned, so the bias can explain nothing.",
    "inertia": "The final bias still shows its start, so that what it follows is what the start follows.",
    "interval": "Where the true value lies with 95 % confidence, over slides or patients and seeds.",
    "ledger": "The record of every class quantity of a run over training: biases, loss weights, gradients, offsets.",
    "live": "The prediction changes when every place attends to all classes equally: it depends on what the class "
    "attention learned.",
    "partial association": "How much of a learned quantity one construct explains beyond the other.",
    "phantom": "Simulated tissue, whose truth is known because it was planted.",
    "seed": "One repetition of training, with other initial weights and another order of the batches.",
    "unit": "What counts as independent: a slide or patient where they are known, otherwise an image.",
    "VIF": "Variance inflation: how strongly two measures of the classes agree. Above the limit of the plan, rare and "
    "hard are not separable.",
}
