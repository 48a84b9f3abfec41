"""Where the chunks of a placement belong (pure): the last of its successors, and whether they need to go there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.meta.rows import PlacementRow


def target(lists: Mapping[PlacementId, PlacementRow], placement: PlacementId) -> PlacementRow:
    """Itself where it has no successor."""
    row = lists[placement]
    while row.successor is not None:
        row = lists[row.successor]
    return row


def rests(
    lists: Mapping[PlacementId, PlacementRow],
    placement: PlacementId,
    staying: Collection[NodeNumber],
    readable: Collection[NodeNumber],
) -> bool:
    """Whether it has a successor only because of nodes that stay after all (their drain was cancelled): what is still
    there may stay too."""
    row = lists[placement]
    pairs = zip(row.nodes, target(lists, placement).nodes, strict=True)
    left = {was for was, becomes in pairs if was != becomes}
    return bool(left) and all(number in staying and number in readable for number in left)
