"""How the components of several methods become those of one."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch
from torch import nn

from methods import REGISTRY
from methods.base import AttentionBias, BuildContext, ClassFeedback, Components, MethodConfig, ParamGroup, Stage
from methods.composition import SlotConflictError, compose
from tests.methods import method_cases as cases


@dataclass
class Part:
    """A method that fills what a test asks for and remembers what it was told."""

    components: Components = field(default_factory=Components)
    n_stages: int = 1
    handed_on: int = 0  # last stages that go on with the weights of the stage before
    contexts: list[BuildContext] = field(default_factory=list)

    def stages(self) -> tuple[Stage, ...]:
        first = self.n_stages - self.handed_on
        return tuple(Stage(str(index), carry_weights=index >= first) for index in range(self.n_stages))

    def build(self, context: BuildContext) -> Components:
        self.contexts.append(context)
        return self.components if context.stage == self.n_stages - 1 else Components()


class Offset(nn.Module):
    """Adjusts logits by one number per class."""

    names: ClassVar[tuple[str, ...]] = ("offset",)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def class_parameters(self) -> dict[str, torch.Tensor]:
        return {"offset": torch.zeros(cases.K)}


def context(stage: int = 0) -> BuildContext:
    return BuildContext(
        cases.skewed_statistics(),
        attention_layers=2,
        attention_heads=4,
        stage=stage,
        finished=(cases.validation_counts(),) * stage,
    )


def composed(stage: int = 0, **parts: Part) -> Components:
    configs: dict[str, MethodConfig] = dict(parts)  # pyright: ignore[reportAssignmentType] - all that compose needs
    return compose(configs, context(stage))


def test_different_slots_compose():
    both = compose({"dfa": REGISTRY["dfa"](), "focal": REGISTRY["focal"]()}, context())
    assert both.attention_bias is not None
    assert both.loss is not None
    assert "attention_bias" in both.class_parameters()


def test_nothing_composes_to_nothing():
    assert compose({}, context()) == Components()


def test_two_losses_are_refused_by_name():
    with pytest.raises(SlotConflictError, match="`focal` and `cdb` both fill the slot `loss`"):
        compose({"focal": REGISTRY["focal"](), "cdb": REGISTRY["cdb"]()}, context())


@pytest.mark.parametrize("slot", ["loss", "attention_bias", "sampler", "adjust_logits"])
def test_exclusive_slots_conflict(slot):
    component = AttentionBias() if slot == "attention_bias" else Offset()
    filled = Components()
    setattr(filled, slot, component)
    with pytest.raises(SlotConflictError, match=f"`first` and `second` both fill the slot `{slot}`"):
        composed(first=Part(filled), second=Part(filled))
    alone = composed(first=Part(filled), other=Part())
    assert getattr(alone, slot) is component


def test_parameter_groups_are_joined_in_order():
    owned = [nn.Parameter(torch.zeros(())) for _ in range(3)]
    model = nn.Identity()

    def groups_of(*parameters: nn.Parameter):
        def groups(given: nn.Module) -> list[ParamGroup]:
            assert given is model
            return [ParamGroup([parameter]) for parameter in parameters]

        return groups

    both = composed(
        first=Part(Components(param_groups=groups_of(owned[0]))),
        without=Part(),
        second=Part(Components(param_groups=groups_of(*owned[1:]))),
    )
    assert both.param_groups is not None
    assert [group.parameters[0] for group in both.param_groups(model)] == owned


def test_every_listener_hears_validation_in_order():
    heard: list[tuple[str, ClassFeedback]] = []
    both = composed(
        first=Part(Components(on_epoch_end=lambda feedback: heard.append(("first", feedback)))),
        second=Part(Components(on_epoch_end=lambda feedback: heard.append(("second", feedback)))),
    )
    assert both.on_epoch_end is not None
    counts = cases.validation_counts()
    both.on_epoch_end(counts)
    assert heard == [("first", counts), ("second", counts)]


def test_the_ledger_asks_every_component_that_holds_something():
    adjusted = composed(first=Part(Components(adjust_logits=Offset())), second=Part(Components(adjust_logits=None)))
    assert adjusted.class_parameters().keys() == {"offset"}
    assert Components(adjust_logits=torch.neg).class_parameters() == {}


def test_a_method_of_fewer_stages_joins_the_last_ones():
    short, long = Part(Components(loss=cases.CrossEntropyDice())), Part(n_stages=3)
    for stage in range(3):
        short.contexts.clear()
        built = composed(stage, short=short, long=long)
        assert (built.loss is not None) == (stage == 2)
    assert [given.stage for given in short.contexts] == [0]
    assert short.contexts[0].finished == ()
    assert long.contexts[-1].stage == 2
    assert len(long.contexts[-1].finished) == 2


@pytest.mark.parametrize(
    ("long", "short", "joined"),
    [
        (Part(n_stages=2, handed_on=1), Part(), [(0, 0), (0, 0)]),
        (Part(n_stages=3, handed_on=1), Part(), [None, (0, 0), (0, 0)]),
        (Part(n_stages=3, handed_on=1), Part(n_stages=2), [(0, 0), (1, 1), (1, 1)]),
        (Part(n_stages=3), Part(n_stages=2), [None, (0, 0), (1, 1)]),
    ],
)
def test_a_method_joins_every_stage_of_the_last_training(long, short, joined):
    for stage, expected in enumerate(joined):
        short.contexts.clear()
        composed(stage, long=long, short=short)
        # the first stage tries the later ones too, before it builds its own
        given = short.contexts[-1] if stage or joined[0] else None
        assert (given and (given.stage, len(given.finished))) == expected


def test_every_stage_is_tried_with_the_feedback_of_those_before():
    long = Part(n_stages=3)
    composed(0, long=long)
    assert [(each.stage, len(each.finished)) for each in long.contexts] == [(1, 1), (2, 2), (0, 0)]


def test_a_conflict_of_the_last_stage_shows_at_the_first():
    loss = Components(loss=cases.CrossEntropyDice())
    with pytest.raises(SlotConflictError, match="`long` and `short` both fill the slot `loss`"):
        composed(0, long=Part(loss, n_stages=2), short=Part(loss))
