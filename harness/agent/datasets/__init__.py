"""Image sets made from a seed: as many small JPEG files, as TFRecord shards in ImageNet's layout, as one raw file."""
