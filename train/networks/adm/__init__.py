"""The ADM network family: blocks, the network, the published presets."""
