"""The server's description of itself, in OpenAPI 3.0, which the bundled page renders."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from codeprm_jax.scoring.serving.guard import OPEN_PATHS
from codeprm_jax.scoring.serving.openrlhf import RewardRequest
from codeprm_jax.scoring.serving.vllm import PoolingRequest
from codeprm_jax.scoring.serving.wire import ScoreRequest

_COMPONENTS = "#/components/schemas/"


def body_of(form: type[BaseModel]) -> dict[str, Any]:
    """What an operation says of itself whose body has this form."""
    schema = {"$ref": _COMPONENTS + form.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, secured: bool) -> dict[str, Any]:
    """The description, made once.

    Args:
      secured: whether all but the open paths need a bearer token.
    """
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version=app.openapi_version,
            description=app.description,
            routes=app.routes,
        )
        # Bodies are read by no handler, so that they are described apart.
        mode: JsonSchemaMode = "validation"
        forms = [(form, mode) for form in (ScoreRequest, PoolingRequest, RewardRequest)]
        _, bodies = models_json_schema(forms, ref_template=_COMPONENTS + "{model}")
        found["components"]["schemas"] |= bodies["$defs"]
        schema = _as_3_0(found)
        if secured:
            schemes = {"bearer": {"type": "http", "scheme": "bearer"}}
            schema["components"]["securitySchemes"] = schemes
            for path, operations in schema["paths"].items():
                for operation in operations.values() if path not in OPEN_PATHS else ():
                    operation["security"] = [{"bearer": []}]
        app.openapi_schema = schema
    return app.openapi_schema


def _as_3_0(node: Any) -> Any:
    """Says what JSON Schema of OpenAPI 3.1 says in the words of 3.0: null and constants."""
    if isinstance(node, list):
        return [_as_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_3_0(value) for key, value in node.items()}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    options = node.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        left = [option for option in options if option != {"type": "null"}]
        del node["anyOf"]
        node["nullable"] = True
        if len(left) == 1 and "$ref" not in left[0]:
            node = left[0] | node
            if "enum" in node:  # 3.0 wants null among the values too
                node["enum"] = [*node["enum"], None]
        elif len(left) == 1:
            # Beside a reference 3.0 reads nothing.
            node["anyOf"] = [*left, {"enum": [None], "nullable": True}]
            del node["nullable"]
        else:
            node["anyOf"] = left
    return node
