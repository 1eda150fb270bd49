"""The SongUNet network family: blocks, the network, the published presets."""
