"""The published networks of rRCM. Source: its repository's README and configurations; no checkpoint is public."""

from purecert.train.networks.rrcm.vit import RrcmVitConfig

RRCM_CIFAR10_B = RrcmVitConfig()
RRCM_IMAGENET_B = RrcmVitConfig(image_size=224, patch_size=16, projection_hidden=4096)
RRCM_IMAGENET_S = RrcmVitConfig(image_size=224, patch_size=16, width=512, depth=6, heads=8)
