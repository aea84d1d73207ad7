import json
from dataclasses import replace

import numpy as np
import pytest

from loopwise.codec.series.frequency import Frequency
from loopwise.codec.series.panel import Panel, Schema
from loopwise.errors import DataError


def panel(lengths=(3, 5, 1)):
    total, number = sum(lengths), len(lengths)
    return Panel(
        ids=tuple("abcdefgh"[:number]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        values=np.arange(2.0 * total).reshape(total, 2),
        first=np.array(["2024-01-01", "2024-02-01", "2024-03-01"][:number], "M8[us]"),
        frequency=Frequency.parse("D"),
        targets=("u", "v"),
        past=np.arange(total)[:, None] + 0.5,
        past_names=("p",),
        static=np.arange(number)[:, None] * 1.0,
        static_names=("s",),
        categories=np.arange(number)[:, None],
        category_names=("k",),
        category_values=(("x", "y"),),
        weights=np.arange(1.0, number + 1),
    )


def test_what_was_not_given_is_empty():
    one = Panel.from_arrays([[1, 2, 3]])
    assert one.past.shape == one.future.shape == (3, 0)
    assert one.static.shape == one.categories.shape == (1, 0)
    assert (one.ids, one.targets, one.frequency.name, one.weights) == ((0,), ("y",), "1", None)
    np.testing.assert_array_equal(one.stamps(0), [0, 1, 2])


def test_arrays_of_channels_and_of_own_beginnings():
    arrays = [np.zeros((4, 2)), np.ones((2, 2))]
    first = ["2024-01-01", "2024-02-01"]
    two = Panel.from_arrays(arrays, ids=["a", "b"], first=first, frequency="MS")
    assert two.targets == ("y0", "y1")
    assert str(two.stamps(1)[1])[:10] == "2024-03-01"


@pytest.mark.parametrize("series", [[], [[[[1.0]]]], [[1.0], [[1.0, 2.0]]], [3.0]])
def test_arrays_that_are_no_series_are_refused(series):
    with pytest.raises(DataError, match=r"all must be \[T\] or \[T, C\]"):
        Panel.from_arrays(series)


def test_series_are_views_and_stamps_go_on_after_them():
    p = panel()
    assert len(p) == 3
    np.testing.assert_array_equal(p.lengths, [3, 5, 1])
    assert np.shares_memory(p.series(1), p.values)
    np.testing.assert_array_equal(p.series(1)[:, 0], [6, 8, 10, 12, 14])
    np.testing.assert_array_equal(
        p.all_stamps(), np.concatenate([p.stamps(i) for i in range(len(p))])
    )
    after = p.stamps_after(2)
    np.testing.assert_array_equal(
        after[:, 0], [p.stamps(i)[-1] + np.timedelta64(1, "D") for i in range(3)]
    )
    assert after.shape == (3, 2)


def test_select_takes_all_that_belongs_to_a_series():
    p = panel().select([2, 0])
    assert p.ids == ("c", "a")
    np.testing.assert_array_equal(p.lengths, [1, 3])
    np.testing.assert_array_equal(p.values[:, 0], [16, 0, 2, 4])
    np.testing.assert_array_equal(p.past[:, 0], [8.5, 0.5, 1.5, 2.5])
    np.testing.assert_array_equal(p.static[:, 0], [2, 0])
    np.testing.assert_array_equal(p.categories[:, 0], [2, 0])
    np.testing.assert_array_equal(p.weights, [3, 1])
    assert str(p.first[0])[:10] == "2024-03-01"
    assert panel().select(np.array([False, True, False])).ids == ("b",)


def test_before_hides_the_end_and_drops_what_is_left_empty():
    p = panel().before(2)
    assert p.ids == ("a", "b")
    np.testing.assert_array_equal(p.lengths, [1, 3])
    np.testing.assert_array_equal(p.series(1), panel().series(1)[:3])
    np.testing.assert_array_equal(p.first, panel().first[:2])


def test_head_and_tail_share_a_series_among_them():
    whole = panel()
    head, tail = whole.before(1), whole.tail(1)
    assert head.ids == ("a", "b")
    assert tail.ids == whole.ids
    for i in range(2):
        np.testing.assert_array_equal(
            np.concatenate([head.series(i), tail.series(i)]), whole.series(i)
        )
        assert head.stamps_after(1)[i, 0] == tail.first[i]
    np.testing.assert_array_equal(whole.head([9, 1, 0]).lengths, [3, 1])


def test_a_schema_goes_through_json():
    schema = panel().schema
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_another_kind_of_panel_is_refused_with_what_differs():
    p = panel()
    p.require_like(p)
    p.require_like(p.before(1).schema)
    for change, message in [
        ({"frequency": Frequency.parse("h")}, "frequency: D given; the model knows h"),
        ({"targets": ("u", "w")}, "target columns: 'u', 'v' given; the model knows 'u', 'w'"),
        ({"past": ()}, "past covariates: 'p' given; the model knows none"),
        ({"future": ("f",)}, "future covariates: none given; the model knows 'f'"),
        ({"zone": "UTC"}, "time zone: none given; the model knows UTC"),
    ]:
        with pytest.raises(DataError) as error:
            p.require_like(replace(p.schema, **change))
        assert str(error.value) == message


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match=r"Panel.first is \[2\]; it must be \[1\]"):
        Panel(("a",), np.array([0, 2]), np.zeros((2, 1)), np.array([0, 1]), Frequency("number"))
    with pytest.raises(DataError, match=r"Panel.values is \[2\]; it must be \[2, 1\]"):
        Panel(("a",), np.array([0, 2]), np.zeros(2), np.array([0]), Frequency("number"))
    with pytest.raises(DataError, match="ascend from 0 to the 2 points"):
        Panel(("a",), np.array([0, 3]), np.zeros((2, 1)), np.array([0]), Frequency("number"))
