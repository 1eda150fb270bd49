"""Small files that stand in for downloads where a page's commands are run.

python -m support.page_files log|ffdnet|resnet|hf PATH [SIGMA]
"""

import sys
from pathlib import Path

import torch

from purecert.train.networks.plain_denoisers import Ffdnet, PlainDenoiserConfig
from support.checkpoint_files import write_torch
from support.hf_files import write_hf, write_hf_input
from support.public_logs import log_text, spread_counts
from support.published_networks import write_classifier

_DRAWS = 100_000
_IMAGES = 200


def write_log(path: Path, sigma: float) -> None:
    """Write a log of images whose counts are drawn at random."""
    path.write_text(log_text(spread_counts(_IMAGES, _DRAWS), _DRAWS, 1e-3, sigma))


def write_ffdnet(path: Path) -> None:
    """Write a narrow FFDNet of random weights."""
    torch.manual_seed(0)
    write_torch(path, Ffdnet(PlainDenoiserConfig(width=8, depth=3)).state_dict())


def write_resnet(path: Path) -> None:
    """Write a shallow CIFAR ResNet of random weights."""
    write_classifier(path.parent).rename(path)


def write_hf_folder(path: Path) -> None:
    """Write a small ResNet of Hugging Face's."""
    write_hf(path)
    write_hf_input(path)


def main(kind: str, path: str, *sigma: str) -> None:
    """Write the file that the command line asks for."""
    if kind == "log":
        write_log(Path(path), float(sigma[0]))
    else:
        {"ffdnet": write_ffdnet, "resnet": write_resnet, "hf": write_hf_folder}[kind](Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
