"""Tables of the classes: what makes them rare or hard."""

from analysis.columns.shared import CLASS

TABLES: dict[str, dict[str, str]] = {
    "measures": {
        **CLASS,
        "construct": "frequency, boundary, morphology or context",
        "measure": "name of the measure",
        "primary": "True for the one measure per construct that was fixed in advance; the others are exploratory",
        "value": "from images and truth of the training split; NaN if the class has too little to measure",
        "low": "lower end of the 95 % percentile interval, training groups resampled",
        "high": "upper end of that interval",
        "n": "what the value rests on: images, band pixels inside the border, or instances",
        "unit": "unit of the value",
    },
}
