"""The numbers of the noise contract (kernels/README.md), each stated once."""

GREY_LEVELS = 255  # steps of the 8-bit grid on which pixels of [0, 1] lie; noise is drawn in these steps
EXTRA_SCALE = 256  # grid steps per standard deviation in the extra inputs of purifiers that are random themselves
LOWEST_PIXEL, HIGHEST_PIXEL = -2048, 2047  # a noisy pixel is clipped to these, so that FP16 holds it exactly

# Phases of an image's draws, which never share one.
SELECT = 0  # picks the class
ESTIMATE = 1  # bounds the class's probability
