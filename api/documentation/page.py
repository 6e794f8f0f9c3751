"""/docs: the OpenAPI document as a page for people. It needs nothing but itself: no network, no
key, and a policy that keeps it so."""

from functools import cache

from flask import Blueprint, Flask, Response, make_response, render_template

from api.documentation.document import Document
from api.documentation.outline import outline

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline';"
    " base-uri 'none'; form-action 'none'"
)


def register(app: Flask, document: Document) -> None:
    """After all that is documented."""
    blueprint = Blueprint("docs", __name__, template_folder="templates")

    @cache
    def html() -> str:
        return render_template("docs.html", **outline(document.spec.to_dict()))

    @blueprint.get("/docs")
    def docs() -> Response:
        response = make_response(html())
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    app.register_blueprint(blueprint)
