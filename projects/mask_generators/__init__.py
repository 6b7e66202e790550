"""MaskCut, TokenCut and ProMerge: masks of objects from patch features, without labels."""
