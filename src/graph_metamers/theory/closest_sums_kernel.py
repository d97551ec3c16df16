"""The compiled loops of the closest-sum search. Importing this loads numba: import it where a search runs.

Sums of one or two vectors stand in a binary tree of boxes, in heap order. Two trees are searched together
(branch and bound): a pair of boxes whose sums cannot come nearer than the best sum so far is left out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LEAST_STACK = 4096
FAST = {"reassoc", "contract", "nnan", "nsz"}  # rounding is accounted for by whoever uses the bound


@njit(cache=True)
def pairs_of(count):  # type: ignore[no-untyped-def]
    """All pairs of places i < j, as two int32 [count (count - 1) / 2]."""
    number = count * (count - 1) // 2
    first, second = np.empty(number, dtype=np.int32), np.empty(number, dtype=np.int32)
    place = 0
    for i in range(count):
        for j in range(i + 1, count):
            first[place], second[place] = i, j
            place += 1
    return first, second


@njit(cache=True)
def put_first(keys, first, second, low, high, middle):  # type: ignore[no-untyped-def]
    """Order places low to high - 1 so that those before `middle` have the smaller keys (quickselect)."""
    high -= 1
    while low < high:
        pivot = keys[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while keys[i] < pivot:
                i += 1
            while keys[j] > pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                first[i], first[j] = first[j], first[i]
                second[i], second[j] = second[j], second[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@njit(cache=True)
def build_tree(vectors, first, second, bounds, boxes):  # type: ignore[no-untyped-def] # noqa: C901
    """Order sums vectors[first] + vectors[second] into a tree, in place.

    `bounds`, int64 [nodes, 2], gets the places of every node; `boxes`, float64 [nodes, 2, K], the least and
    the largest of the first K coordinates there. Node i has the children 2 i + 1 and 2 i + 2, or none.
    """
    nodes, width = boxes.shape[0], boxes.shape[2]
    keys = np.empty(first.shape[0])
    bounds[0, 0], bounds[0, 1] = 0, first.shape[0]
    for node in range(nodes // 2):
        low, high = bounds[node]
        step = max((high - low) // 512, 1)  # a sample tells where a large node is widest
        widest, extent = 0, -1.0
        for k in range(width):
            least, most = np.inf, -np.inf
            for place in range(low, high, step):
                value = vectors[first[place], k] + vectors[second[place], k]
                least, most = min(least, value), max(most, value)
            if most - least > extent:
                widest, extent = k, most - least
        for place in range(low, high):
            keys[place] = vectors[first[place], widest] + vectors[second[place], widest]
        middle = (low + high) // 2
        put_first(keys, first, second, low, high, middle)
        bounds[2 * node + 1, 0], bounds[2 * node + 1, 1] = low, middle
        bounds[2 * node + 2, 0], bounds[2 * node + 2, 1] = middle, high
    for node in range(nodes - 1, -1, -1):
        if node >= nodes // 2:
            boxes[node, 0], boxes[node, 1] = np.inf, -np.inf
            for place in range(bounds[node, 0], bounds[node, 1]):
                for k in range(width):
                    value = vectors[first[place], k] + vectors[second[place], k]
                    boxes[node, 0, k] = min(boxes[node, 0, k], value)
                    boxes[node, 1, k] = max(boxes[node, 1, k], value)
        else:
            for k in range(width):
                boxes[node, 0, k] = min(boxes[2 * node + 1, 0, k], boxes[2 * node + 2, 0, k])
                boxes[node, 1, k] = max(boxes[2 * node + 1, 1, k], boxes[2 * node + 2, 1, k])


@njit(cache=True, fastmath=FAST)
def box_cost(one, other, base, factor, target, slope):  # type: ignore[no-untyped-def]
    """Least cost of a sum out of two boxes, in the coordinates that boxes have."""
    cost = 0.0
    for k in range(one.shape[1]):
        end = base[k] + factor * (one[0, k] + other[0, k])
        other_end = base[k] + factor * (one[1, k] + other[1, k])
        low, high = min(end, other_end), max(end, other_end)
        low, high = max(low, slope * low), max(high, slope * high)
        gap = max(low - target[k], target[k] - high, 0.0)
        cost += gap * gap
    return cost


@njit(cache=True, fastmath=FAST)
def sum_cost(held, vector, factor, target, slope, first, last):  # type: ignore[no-untyped-def]
    """||a(held + factor vector) - target||^2 in some coordinates; a(x) = x, or slope x below 0."""
    cost = 0.0
    for k in range(first, last):
        value = held[k] + factor * vector[k]
        gap = max(value, slope * value) - target[k]
        cost += gap * gap
    return cost


@njit(cache=True)
def compare_leaves(  # type: ignore[no-untyped-def] # noqa: PLR0917 (numba knows no keywords-only)
    vectors, first, second, low, high, others, more, low_of_other, high_of_other, same,
    excluded, none, base, factor, target, slope, best, held, width,
):  # fmt: skip
    """The best of all sums out of two leaves, of different and allowed members; and how many there were."""
    tried = 0
    for place in range(low, high):
        a, b = first[place], second[place]
        if excluded[a] or excluded[b]:
            continue
        for k in range(held.shape[0]):
            held[k] = base[k] + factor * (vectors[a, k] + vectors[b, k])
        for other in range(place + 1 if same else low_of_other, high_of_other):
            c, d = others[other], more[other]
            if excluded[c] or excluded[d]:
                continue
            if c != none and c in (a, b):
                continue
            if d != none and d in (a, b):
                continue
            tried += 1
            vector = vectors[c] if d == none else vectors[c] + vectors[d]
            cost = sum_cost(held, vector, factor, target, slope, 0, width)
            if cost < best and width < held.shape[0]:
                cost += sum_cost(held, vector, factor, target, slope, width, held.shape[0])
            best = min(best, cost)
    return best, tried


@njit(cache=True, nogil=True)
def closest_sum(  # type: ignore[no-untyped-def] # noqa: PLR0917, C901, PLR0915
    vectors, first, second, bounds, boxes, others, more, bounds_of_other, boxes_of_other, same,
    excluded, base, factor, target, slope, start, enough, work,
):  # fmt: skip
    """Least cost of a sum of one member of each tree: what is proved, and what was found.

    Returns (lower bound, least cost found or `start`, work done). The search ends where the best is at most
    `enough`, or `work` boxes and sums have been looked at: the bound is then the least of what was left.
    """
    none = vectors.shape[0] - 1
    held = np.empty(vectors.shape[1])
    stack = np.empty((LEAST_STACK, 2), dtype=np.int64)
    floors = np.empty(LEAST_STACK)
    pairs = np.empty((3, 2), dtype=np.int64)
    stack[0] = 0
    floors[0] = box_cost(boxes[0], boxes_of_other[0], base, factor, target, slope)
    height, best, done = 1, start, 0
    half, half_of_other = bounds.shape[0] // 2, bounds_of_other.shape[0] // 2
    while height > 0:
        height -= 1
        if floors[height] >= best:
            continue
        if best <= enough or done >= work:
            lowest = best
            for place in range(height + 1):
                lowest = min(lowest, floors[place])
            return lowest, best, done
        node, other = stack[height]
        if node >= half and other >= half_of_other:
            found, tried = compare_leaves(
                vectors, first, second, bounds[node, 0], bounds[node, 1], others, more,
                bounds_of_other[other, 0], bounds_of_other[other, 1], same and node == other,
                excluded, none, base, factor, target, slope, best, held, boxes.shape[2],
            )  # fmt: skip
            best = min(best, found)
            done += tried
            continue
        if height + 4 >= stack.shape[0]:
            stack = np.concatenate((stack, np.empty_like(stack)))
            floors = np.concatenate((floors, np.empty_like(floors)))
        begun = height
        size = bounds[node, 1] - bounds[node, 0]
        size_of_other = bounds_of_other[other, 1] - bounds_of_other[other, 0]
        number = 2
        if same and node == other:
            pairs[0, 0] = pairs[0, 1] = pairs[1, 0] = 2 * node + 1
            pairs[1, 1] = pairs[2, 0] = pairs[2, 1] = 2 * node + 2
            number = 3
        elif other >= half_of_other or (node < half and size >= size_of_other):
            pairs[0, 0], pairs[1, 0] = 2 * node + 1, 2 * node + 2
            pairs[0, 1] = pairs[1, 1] = other
        else:
            pairs[0, 0] = pairs[1, 0] = node
            pairs[0, 1], pairs[1, 1] = 2 * other + 1, 2 * other + 2
        for pair in pairs[:number]:
            floor = box_cost(boxes[pair[0]], boxes_of_other[pair[1]], base, factor, target, slope)
            done += 1
            if floor >= best:
                continue
            place = height  # the lowest on top
            while place > begun and floors[place - 1] < floor:
                floors[place] = floors[place - 1]
                stack[place] = stack[place - 1]
                place -= 1
            floors[place] = floor
            stack[place, 0], stack[place, 1] = pair[0], pair[1]
            height += 1
    return best, best, done
