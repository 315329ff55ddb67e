"""Marks of stability on functions and classes."""

from __future__ import annotations

from typing import Any

import pytest

from skate.util.annotations import (
    AnnotationType,
    Deprecated,
    DeveloperAPI,
    PublicAPI,
    RayDeprecationWarning,
)


def test_marks_leave_what_they_mark_as_it_is() -> None:
    @PublicAPI(stability="alpha", api_group="Things")
    def one() -> int:
        return 1

    @DeveloperAPI
    class Two:
        pass

    marked: Any = one
    assert one() == 1
    assert (marked._annotated, marked._annotated_type) == ("one", AnnotationType.PUBLIC_API)
    assert (marked._annotated_stability, marked._annotated_api_group) == ("alpha", "Things")
    assert isinstance(Two(), Two)
    assert Two._annotated_type is AnnotationType.DEVELOPER_API


def test_deprecated_things_warn_when_asked_to() -> None:
    @Deprecated(message="Use new().", warning=True)
    def old() -> int:
        return 1

    @Deprecated(warning=True)
    class Old:
        def __init__(self, value: int) -> None:
            self.value = value

    @Deprecated
    def silent() -> int:
        return 2

    with pytest.warns(RayDeprecationWarning, match=r"old is deprecated.*Use new\(\)"):
        assert old() == 1
    with pytest.warns(RayDeprecationWarning, match="Old is deprecated"):
        assert Old(3).value == 3
    assert silent() == 2


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(ValueError, match="stability='gamma'"):
        PublicAPI(stability="gamma")
    with pytest.raises(ValueError, match="colour"):
        Deprecated(colour=1)
