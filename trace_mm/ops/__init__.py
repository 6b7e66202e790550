"""The numerics: tensors in, tensors out. No registry, no files, no global state."""

from typing import TYPE_CHECKING

from trace_mm.lazy import lazy_exports

if TYPE_CHECKING:
    from trace_mm.ops.affinity import edge_affinities, random_walk_laplacian
    from trace_mm.ops.border_merging import merge_weak_borders
    from trace_mm.ops.boundary import (
        attention_boundary_divergence,
        normalize_edges,
        token_edges_at,
        upsample_edges,
    )
    from trace_mm.ops.contour_map import contour_map, distinct_nodes
    from trace_mm.ops.copy_paste import Pasted, paste_objects, placed
    from trace_mm.ops.dice import masked_dice_loss
    from trace_mm.ops.divergence import (
        DIVERGENCES,
        cosine_distance,
        divergence,
        entropy_difference,
        js_divergence,
        kl_divergence,
        l1_distance,
        l2_distance,
        symmetric_kl_divergence,
        wasserstein_distance,
    )
    from trace_mm.ops.emergence import (
        EmergencePoint,
        EmergenceResult,
        emergence_point,
        mean_row_divergence,
    )
    from trace_mm.ops.fusion import AttentionFusion, finest_grid, fuse_attention
    from trace_mm.ops.label_maps import (
        compact_labels,
        connected_parts,
        fill_labels,
        join_small_labels,
        merge_small_labels,
    )
    from trace_mm.ops.mask_merging import mask_ious, merge_groups, merge_masks
    from trace_mm.ops.mask_splitting import (
        edge_cores,
        edge_fragments,
        enclosed_components,
        split_by_edges,
    )
    from trace_mm.ops.matching import candidate_graph, match_edges, maximum_matching
    from trace_mm.ops.matching_sizes import matching_sizes
    from trace_mm.ops.merge_tree import MergeTree, merge_regions
    from trace_mm.ops.merged_labels import merged_labels
    from trace_mm.ops.neighbor_divergence import neighbor_divergence
    from trace_mm.ops.normalized_cut import NormalizedCut, normalized_cut, similar_patches
    from trace_mm.ops.object_scale import blob_energy, usual_object_size
    from trace_mm.ops.propagation import propagate_fragments, propagate_masks
    from trace_mm.ops.pseudo_labels import PSEUDO_LABELS, pseudo_edges
    from trace_mm.ops.region_graph import RegionGraph, join_small_regions, region_graph
    from trace_mm.ops.regions import region_attention
    from trace_mm.ops.score_walk import walk_scores
    from trace_mm.ops.thinning import suppress_non_maxima, thin
    from trace_mm.ops.watershed import watershed_basins

__all__ = [
    "DIVERGENCES",
    "PSEUDO_LABELS",
    "AttentionFusion",
    "EmergencePoint",
    "EmergenceResult",
    "MergeTree",
    "NormalizedCut",
    "Pasted",
    "RegionGraph",
    "attention_boundary_divergence",
    "blob_energy",
    "candidate_graph",
    "compact_labels",
    "connected_parts",
    "contour_map",
    "cosine_distance",
    "distinct_nodes",
    "divergence",
    "edge_affinities",
    "edge_cores",
    "edge_fragments",
    "emergence_point",
    "enclosed_components",
    "entropy_difference",
    "fill_labels",
    "finest_grid",
    "fuse_attention",
    "join_small_labels",
    "join_small_regions",
    "js_divergence",
    "kl_divergence",
    "l1_distance",
    "l2_distance",
    "mask_ious",
    "masked_dice_loss",
    "match_edges",
    "matching_sizes",
    "maximum_matching",
    "mean_row_divergence",
    "merge_groups",
    "merge_masks",
    "merge_regions",
    "merge_small_labels",
    "merge_weak_borders",
    "merged_labels",
    "neighbor_divergence",
    "normalize_edges",
    "normalized_cut",
    "paste_objects",
    "placed",
    "propagate_fragments",
    "propagate_masks",
    "pseudo_edges",
    "random_walk_laplacian",
    "region_attention",
    "region_graph",
    "similar_patches",
    "split_by_edges",
    "suppress_non_maxima",
    "symmetric_kl_divergence",
    "thin",
    "token_edges_at",
    "upsample_edges",
    "usual_object_size",
    "walk_scores",
    "wasserstein_distance",
    "watershed_basins",
]

__getattr__ = lazy_exports(__name__)
