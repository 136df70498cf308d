"""What every network promises beside its answer."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import UNet
from tests.conftest import composed

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.segmenter.networks import LesionNetwork, build_network
from lesion_dynamics.segmenter.quick_prelu import QuickPReLU
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.settings.training import TrainSettings

SMALL = {
    "dynunet": ("segmenter.network.channels=[4,8,8]", "segmenter.network.deep_supervision=1"),
    "unet": ("segmenter.network.channels=[4,8,8]", "segmenter.network.strides=[2,2]"),
    "segresnet": ("segmenter.network.init_filters=8",),
    "mednext": ("segmenter.network.init_filters=4", "segmenter.network.blocks=[1,1]"),
}


def network(name: str, *overrides: str) -> LesionNetwork:
    settings = validated(
        TrainSettings, composed("train", f"segmenter={name}", *SMALL[name], *overrides)
    )
    torch.manual_seed(1)
    return build_network(settings.segmenter.network, input_channels=2)


@pytest.mark.parametrize(("name", "levels"), [("dynunet", 2), ("segresnet", 2), ("mednext", 3)])
def test_lower_levels_answer_while_training_only(name: str, levels: int) -> None:
    built, given = network(name), torch.randn(1, 2, 16, 16, 16)
    found = built.train().at_every_level(given)
    assert [one.shape for one in found] == [(1, 1, 16, 16, 16)] * levels
    assert len({float(one.detach().std()) for one in found}) == levels
    assert len(built.eval().at_every_level(given)) == 1


@pytest.mark.parametrize("name", sorted(SMALL))
def test_recomputed_activations_give_the_same_gradients_and_keep_less(name: str) -> None:
    given = torch.randn(1, 2, 16, 16, 16)
    gradients, kept = [], []
    for recompute in (False, True):
        built = network(name)
        names = list(built.state_dict())
        if recompute:
            built.recompute_activations()
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = sum(one.square().mean() for one in built.at_every_level(given))
        kept.append(sum(sizes))
        loss.backward()
        assert list(built.state_dict()) == names
        gradients.append([p.grad for p in built.parameters()])
    assert kept[1] < 0.8 * kept[0]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_quick_prelu_is_torchs_in_value_and_gradients(dtype: torch.dtype) -> None:
    given = torch.randn(2, 4, 8, 8, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    given[0, 0] = 0  # where the function has a kink both take the same side
    weighting = torch.randn(given.shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    found = []
    for layer in (torch.nn.PReLU(), QuickPReLU()):
        inputs = given.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = layer(inputs)
        (output * weighting).sum().backward()
        found.append((output.detach(), inputs.grad, layer.weight.grad))
    plain, quick = found
    assert torch.equal(quick[0], plain[0])
    assert torch.equal(quick[1], plain[1])
    torch.testing.assert_close(quick[2], plain[2], rtol=1e-5 if dtype == torch.float32 else 1e-2,
                               atol=1e-4 if dtype == torch.float32 else 0.5)  # fmt: skip


def test_the_unet_has_the_quick_prelu_and_the_names_of_monais() -> None:
    built = network("unet")
    kinds = {type(one) for one in built.modules() if isinstance(one, torch.nn.PReLU)}
    assert kinds == {QuickPReLU}
    theirs = UNet(3, 2, 8, (4, 8, 8), (2, 2), num_res_units=2)
    assert list(built.backbone.state_dict()) == list(theirs.state_dict())


def single_channel_norms(module: torch.nn.Module) -> list[torch.nn.Module]:
    norms = (torch.nn.InstanceNorm3d, torch.nn.GroupNorm)
    found = [one for one in module.modules() if isinstance(one, norms)]
    return [
        one for one in found if getattr(one, "num_features", getattr(one, "num_channels", 0)) == 1
    ]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_no_network_normalises_a_single_output_channel(name: str) -> None:
    """It would fix the mean logit of a scan: MONAI's UNet does so when asked for one output."""
    assert single_channel_norms(UNet(3, 2, 1, (4, 8, 8), (2, 2), num_res_units=2))
    assert not single_channel_norms(network(name))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["patch.size_voxels=50"], "multiples of 8, at least 16"),
        (["segmenter=swinunetr"], "patches of swinunetr are multiples of 32, at least 64"),
        (["segmenter.window.size_voxels=[100,96,96]"], "multiples of 8"),
        (["segmenter.network.deep_supervision=3"], "at most 2 with 4 levels"),
        (["segmenter=segresnet", "segmenter.network.deep_supervision=3"], "at most 2"),
        (["segmenter=unet", "segmenter.network.strides=[2,2]"], "4 levels need 3 strides"),
        (["patch.batch=3", "trainer.devices=2"], "cannot be shared out among 2"),
        (["fold=3", "folds=2"], "fold=3 is above folds=2"),
        (["folds=2", "synthesis.share=1"], "folds=2 changes nothing with synthesis.share=1"),
        (["synthesis.share=1", "split_from=m/1"], "split_from changes nothing"),
        (["trainer.early_stopping_patience=1"], "never ends a training of 1 validation"),
        (
            [
                "trainer.epochs=6",
                "trainer.validate_every_epochs=4",  # every 3: the last one validates
                "trainer.early_stopping_patience=2",
            ],
            "never ends a training of 2 validation",
        ),
        (["folds=2", "split_from=m/1"], "folds=2 deals the participants anew"),
        (["patch.lesion_fraction=0.7", "patch.lookalike_fraction=0.4"], "at most 1 together"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        validated(TrainSettings, composed("train", *overrides))
    assert "\n" not in str(refused.value)
