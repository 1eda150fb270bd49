"""The published SongUNets. Sources: Karras et al. 2022, app. F, and the keys and shapes of the checkpoints."""

from dataclasses import replace

from purecert.train.networks.song.unet import SongUNetConfig

# NVlabs/edm: edm-cifar10-32x32-uncond-vp, the DDPM++ network.
EDM_CIFAR10_VP = SongUNetConfig(
    img_resolution=32,
    in_channels=3,
    out_channels=3,
    augment_dim=9,
    channel_mult=(2, 2, 2),
    dropout=0.13,
)

# NVlabs/edm: edm-cifar10-32x32-uncond-ve, the NCSN++ network.
EDM_CIFAR10_VE = replace(
    EDM_CIFAR10_VP,
    embedding_type="fourier",
    channel_mult_noise=2,
    encoder_type="residual",
    resample_filter=(1, 3, 3, 1),
)

# openai/consistency_models_cifar10: the NCSN++ network without augmentation labels. Song et al. 2023, app. C.
CONSISTENCY_CIFAR10 = replace(EDM_CIFAR10_VE, dropout=0.0, augment_dim=0)
