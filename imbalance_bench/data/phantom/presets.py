"""Ready-made phantom data sets."""

from imbalance_bench.data.phantom.spec import GroupCounts, PhantomClass, PhantomSpec

# Frequency and difficulty are set apart on purpose: fat is rare and easy, tumour is common and hard.
_STROMA = PhantomClass(
    name="stroma", colour="#e8a0bf", texture="stroma", share=0.46, ambiguity=0.1, morphology=0.4, context=0.0
)
_TUMOUR = PhantomClass(
    name="tumour",
    colour="#6a3d9a",
    texture="tumour",
    share=0.27,
    ambiguity=0.9,
    morphology=0.9,
    context=0.5,
    rival="inflammatory",
)
_INFLAMMATORY = PhantomClass(
    name="inflammatory", colour="#1f78b4", texture="inflammatory", share=0.14, ambiguity=0.3, morphology=0.2
)
_NECROSIS = PhantomClass(
    name="necrosis",
    colour="#b15928",
    texture="necrosis",
    share=0.09,
    ambiguity=0.6,
    morphology=0.7,
    context=0.4,
    rival="inflammatory",
)
_FAT = PhantomClass(name="fat", colour="#ffe08a", texture="fat", share=0.04, ambiguity=0.0, morphology=0.1)

# texture, colour, share, then the ranks of ambiguity, morphology and context among the eight classes, and the rival. No
# two of the four factors have a rank correlation above .2, so that what follows one of them does not follow another.
# What is planted shows: textures that look alike, or whose borders are soft, as they come have much of context, or of
# ambiguity. `python -m benchmarks.phantom_dealings` prints how well the measures follow, and finds other dealings.
_EIGHT = (
    ("gland", "#33a02c", 0.28, 5, 1, 7, "tumour"),
    ("blood", "#ff7f00", 0.20, 6, 7, 2, "necrosis"),
    ("muscle", "#e31a1c", 0.15, 1, 8, 6, "gland"),
    ("fat", "#ffe08a", 0.11, 3, 3, 1, "blood"),
    ("tumour", "#6a3d9a", 0.09, 7, 4, 8, "inflammatory"),
    ("necrosis", "#b15928", 0.07, 4, 2, 4, "stroma"),
    ("inflammatory", "#1f78b4", 0.06, 8, 6, 3, "fat"),
    ("stroma", "#e8a0bf", 0.04, 2, 5, 5, "muscle"),
)
_HIGHEST = {"ambiguity": 1.0, "morphology": 0.9, "context": 0.6}  # level of the class that has most of a factor


def _eight_classes() -> tuple[PhantomClass, ...]:
    """Return classes of which each factor takes eight equally spaced levels from 0."""
    classes = []
    for texture, colour, share, *ranks, rival in _EIGHT:
        levels = [round(top * (int(rank) - 1) / 7, 3) for top, rank in zip(_HIGHEST.values(), ranks, strict=True)]
        planted = dict(zip(_HIGHEST, levels, strict=True)) | {"share": share, "rival": rival}
        tissue = {"name": texture, "texture": texture, "colour": colour}
        classes.append(PhantomClass.model_validate(tissue | planted))
    return tuple(classes)


PRESETS: dict[str, PhantomSpec] = {
    "tissue": PhantomSpec(
        name="phantom-tissue",
        classes=(_STROMA, _TUMOUR, _INFLAMMATORY, _NECROSIS, _FAT),
        # nine test slides: fewer than eight could not show a difference between four methods and their control
        groups=GroupCounts(train=7, val=2, test=9),
        images_per_group=2,
        mpp_um=0.75,
        region_um=52.0,
    ),
    "organ": PhantomSpec(
        name="phantom-organ",
        classes=(
            PhantomClass(name="stroma", colour="#e8a0bf", texture="stroma", share=0.36, ambiguity=0.2, morphology=0.4),
            PhantomClass(
                name="tumour",
                colour="#6a3d9a",
                texture="tumour",
                share=0.24,
                ambiguity=0.7,
                morphology=0.8,
                context=0.4,
                rival="gland",
            ),
            PhantomClass(name="muscle", colour="#e31a1c", texture="muscle", share=0.13, ambiguity=0.5, morphology=0.3),
            PhantomClass(
                name="inflammatory",
                colour="#1f78b4",
                texture="inflammatory",
                share=0.10,
                ambiguity=0.4,
                morphology=0.6,
                context=0.3,
                rival="tumour",
            ),
            PhantomClass(name="gland", colour="#33a02c", texture="gland", share=0.07, ambiguity=0.1, morphology=0.5),
            PhantomClass(
                name="necrosis",
                colour="#b15928",
                texture="necrosis",
                share=0.05,
                ambiguity=0.8,
                morphology=0.9,
                context=0.6,
                rival="muscle",
            ),
            PhantomClass(name="fat", colour="#ffe08a", texture="fat", share=0.03, ambiguity=0.0, morphology=0.2),
            PhantomClass(name="blood", colour="#ff7f00", texture="blood", share=0.02, ambiguity=0.3, morphology=0.1),
        ),
        groups=GroupCounts(train=8, val=3, test=4),
        images_per_group=6,
        size_px=512,
    ),
    "quickstart": PhantomSpec(
        name="phantom-quickstart",
        classes=_eight_classes(),
        # eighteen training slides: with seven, chance changes the order of the measures
        groups=GroupCounts(train=18, val=2, test=9),
        images_per_group=2,
        mpp_um=0.75,
        region_um=52.0,
    ),
}
