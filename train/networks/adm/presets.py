"""The published AdmUNets. Sources: their repositories' READMEs and the keys and shapes of the checkpoints."""

from dataclasses import replace

from purecert.train.networks.adm.unet import AdmUNetConfig

# openai/consistency_models: cd_imagenet64_*, ct_imagenet64, edm_imagenet64_ema. Song et al. 2023, app. C.
CONSISTENCY_IMAGENET64 = AdmUNetConfig(
    image_size=64,
    model_channels=192,
    num_res_blocks=3,
    attention_resolutions=(32, 16, 8),
    channel_mult=(1, 2, 3, 4),
    qkv_order="three-heads-dim",
    num_head_channels=64,
    num_classes=1000,
    resblock_updown=True,
)

# The same network without classes.
CONSISTENCY_IMAGENET64_UNCONDITIONAL = replace(CONSISTENCY_IMAGENET64, num_classes=0)

# openai/improved-diffusion: cifar10_uncond_50M_500K, with a learned variance. Nichol and Dhariwal 2021.
IMPROVED_DIFFUSION_CIFAR10 = AdmUNetConfig(
    image_size=32,
    model_channels=128,
    num_res_blocks=3,
    attention_resolutions=(16, 8),
    channel_mult=(1, 2, 2, 2),
    qkv_order="heads-three-dim",
    out_channels=6,
    num_heads=4,
    dropout=0.3,
)

# openai/guided-diffusion: 256x256_diffusion_uncond, with a learned variance. Dhariwal and Nichol 2021.
GUIDED_DIFFUSION_256 = AdmUNetConfig(
    image_size=256,
    model_channels=256,
    num_res_blocks=2,
    attention_resolutions=(32, 16, 8),
    channel_mult=(1, 1, 2, 2, 4, 4),
    qkv_order="heads-three-dim",
    out_channels=6,
    num_head_channels=64,
    resblock_updown=True,
)
