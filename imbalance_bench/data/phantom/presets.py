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
}
