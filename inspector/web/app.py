"""The HTTP application, made of what it is given: it opens nothing by itself."""

from __future__ import annotations

from fastapi import FastAPI

from inspector import __version__
from inspector.web.feedback import FeedbackDesk, feedback_routes
from inspector.web.guard import HEALTH_PATH, Guard, WebAccess
from inspector.web.problems import answer_with_problems


def create_app(desk: FeedbackDesk, access: WebAccess) -> FastAPI:
    """Return the application; ``access`` says who may use it."""
    # Without the pages of documentation: they load scripts from elsewhere.
    app = FastAPI(
        title="inspector", version=__version__, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    answer_with_problems(app)
    app.include_router(feedback_routes(desk))

    @app.get(HEALTH_PATH, include_in_schema=False)
    async def health() -> dict[str, str]:
        """Say that the process answers; not whether Kafka and Redis do, which a restart would not mend."""
        return {"status": "ok"}

    app.add_middleware(Guard, access=access)
    return app
