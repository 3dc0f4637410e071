"""Table of classes that were learned and lost again during training."""

from analysis.schema.column import Table, integer, number, text

TABLES: dict[str, Table] = {
    "collapsed_classes": Table(
        ("run_id", "class"),
        {
            "run_id": text("the run"),
            "method": text("label of the method"),
            "fold": integer("fold"),
            "seed": integer("seed"),
            "class": text("class that rose and died: by validation Dice, pooled over images; no row where none did"),
            "best": number("its greatest validation Dice"),
            "best_step": integer("optimiser steps done then, over all stages"),
            "last": number("its Dice in the last validation"),
            "last_step": integer("optimiser steps done then"),
            "validations": integer("validations of the run"),
        },
    ),
}
