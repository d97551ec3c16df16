from __future__ import annotations

import pytest

import graph_metamers as gm


@pytest.mark.parametrize(
    ("match", "input", "score"), [(1.0, 0.0, 0.0), (0.97, 0.02, 0.05), (1.0, 1.0, 1.0), (0.1, 0.1, 1.0)]
)
def test_the_score_comes_with_its_parts(match, input, score):  # noqa: A002
    found = gm.consistency(match, input)
    assert found.score == pytest.approx(score)
    assert found.row() == {"score": found.score, "match": match, "input": input}
    assert f"{match:.3g}" in str(found)
    assert f"{input:.3g}" in str(found)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "1"])
def test_parts_are_shares(value):
    with pytest.raises(gm.ParameterError, match="the 'match' parameter must be a finite number"):
        gm.consistency(value, 0.5)
    with pytest.raises(gm.ParameterError, match="the 'input' parameter must be a finite number"):
        gm.consistency(0.5, value)
