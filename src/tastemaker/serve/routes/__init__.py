"""All routes, in one table: what is not here is not served, and what is here is guarded and documented."""

from __future__ import annotations

from tastemaker.serve.gorse.routes import ROUTES as GORSE
from tastemaker.serve.route import Route
from tastemaker.serve.routes.admin import ADMIN
from tastemaker.serve.routes.catalogue import CATALOGUE
from tastemaker.serve.routes.compare import COMPARE
from tastemaker.serve.routes.data import DATA
from tastemaker.serve.routes.events import EVENTS
from tastemaker.serve.routes.models import MODELS
from tastemaker.serve.routes.overview import OVERVIEW
from tastemaker.serve.routes.recommendations import RECOMMENDATIONS
from tastemaker.serve.routes.runs import RUNS
from tastemaker.serve.routes.scenarios import SCENARIOS
from tastemaker.serve.routes.system import SYSTEM

ROUTES: tuple[Route, ...] = (
    *RECOMMENDATIONS,
    *EVENTS,
    *CATALOGUE,
    *SCENARIOS,
    *MODELS,
    *RUNS,
    *COMPARE,
    *ADMIN,
    *OVERVIEW,
    *DATA,
    *SYSTEM,
    *GORSE,
)
