"""How deep a network from a file may be, so that building what a hostile one describes ends at once.

Each limit is several times what any published network has.
"""

MAX_BLOCKS = 32  # per resolution of a U-Net
MAX_LEVELS = 12  # resolutions
MAX_LAYERS = 256  # of a plain chain, a transformer, or a stage of a ResNet
