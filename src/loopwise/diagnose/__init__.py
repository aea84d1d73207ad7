"""See inside: gradients through time, memory, gates, and what to do about them.

The package itself can be called: ``loopwise.diagnose(model, batch)`` is `measure.diagnose`.
Reports, rules and pictures need no torch.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from loopwise.errors import missing_extra

if TYPE_CHECKING:
    from loopwise.diagnose.measure import diagnose

    __call__ = diagnose


class _Package(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            from loopwise.diagnose.measure import diagnose
        except ModuleNotFoundError as error:
            raise missing_extra(error, "loopwise.diagnose") from error
        return diagnose(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
