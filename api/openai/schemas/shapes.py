"""JSON that an answer shows as it is stored, described for the OpenAPI document."""

from typing import Any

Shape = dict[str, Any]

_STRING: Shape = {"type": "string"}
_COUNT: Shape = {"type": "integer", "minimum": 0}


def _object(**properties: Shape) -> Shape:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _nullable(shape: Shape) -> Shape:
    return {**shape, "type": [shape["type"], "null"]}


def _const(value: str) -> Shape:
    return {"type": "string", "const": value}


def _one_of(*words: str) -> Shape:
    return {"type": "string", "enum": list(words)}


def _list_of(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


_DETAIL = _one_of("auto", "low", "high")
_FAILURES = ("server_error", "rate_limit_exceeded")
_CALLED = {"name": _STRING, "arguments": {**_STRING, "description": "JSON, as the model wrote it."}}
_CALL = _object(id=_STRING, type=_const("function"), function=_object(**_CALLED))
_MADE_CALL = _object(
    id=_STRING,
    type=_const("function"),
    function=_object(**_CALLED, output=_nullable(_STRING)),
)
_SCORE: Shape = {"type": "number", "minimum": 0, "maximum": 1}
_CITATION = _object(
    type=_const("file_citation"),
    text=_STRING,
    start_index=_COUNT,
    end_index=_COUNT,
    file_citation=_object(file_id=_STRING),
)
_PARTS = [
    _object(
        type=_const("text"),
        text=_object(value=_STRING, annotations=_list_of({"oneOf": [_CITATION]})),
    ),
    _object(type=_const("image_url"), image_url=_object(url=_STRING, detail=_DETAIL)),
    _object(type=_const("image_file"), image_file=_object(file_id=_STRING, detail=_DETAIL)),
    _object(type=_const("refusal"), refusal=_STRING),
]

_ATTRIBUTES: Shape = {
    "type": "object",
    "additionalProperties": {"anyOf": [_STRING, {"type": "number"}, {"type": "boolean"}]},
}
_RESULT = _object(file_id=_STRING, file_name=_STRING, score=_SCORE, attributes=_ATTRIBUTES)
_RESULT["properties"]["content"] = _list_of(_object(type=_const("text"), text=_STRING))
_MADE_SEARCH = _object(
    id=_STRING,
    type=_const("file_search"),
    file_search=_object(
        ranking_options=_object(
            ranker=_one_of("auto", "default_2024_08_21"), score_threshold=_SCORE
        ),
        results=_list_of(_RESULT),
    ),
)

# By the name of the field, with its object's where two have the same. Whether null is possible, the
# field says; a function says it here.
SHAPES: dict[str, Shape] = {
    "content": _list_of({"oneOf": _PARTS}),
    "Message.incomplete_details": _object(
        reason=_one_of("content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed")
    ),
    "Run.incomplete_details": _object(reason=_one_of("max_completion_tokens", "max_prompt_tokens")),
    "Run.last_error": _object(code=_one_of(*_FAILURES, "invalid_prompt"), message=_STRING),
    "RunStep.last_error": _nullable(_object(code=_one_of(*_FAILURES), message=_STRING)),
    "required_action": _object(
        type=_const("submit_tool_outputs"),
        submit_tool_outputs=_object(tool_calls=_list_of(_CALL)),
    ),
    "step_details": {
        "oneOf": [
            _object(
                type=_const("message_creation"),
                message_creation=_object(message_id=_STRING),
            ),
            _object(
                type=_const("tool_calls"),
                tool_calls=_list_of({"oneOf": [_MADE_CALL, _MADE_SEARCH]}),
            ),
        ]
    },
    "Batch.errors": _nullable(
        _object(
            object=_const("list"),
            data=_list_of(
                _object(
                    code=_STRING,
                    message=_STRING,
                    param=_nullable(_STRING),
                    line=_nullable({"type": "integer"}),
                )
            ),
        )
    ),
    "file_counts": _object(
        in_progress=_COUNT, completed=_COUNT, failed=_COUNT, cancelled=_COUNT, total=_COUNT
    ),
    "VectorStore.status": _one_of("expired", "in_progress", "completed"),
    "FileBatch.status": _one_of("in_progress", "completed", "failed", "cancelled"),
    "expires_after": _nullable(
        _object(anchor=_const("last_active_at"), days={"type": "integer", "minimum": 1})
    ),
    "StoreFile.last_error": _object(
        code=_one_of("server_error", "unsupported_file", "invalid_file"), message=_STRING
    ),
    "StoreFile.chunking_strategy": _object(
        type=_const("static"),
        static=_object(max_chunk_size_tokens=_COUNT, chunk_overlap_tokens=_COUNT),
    ),
    "StoreFile.attributes": _ATTRIBUTES,
    "Result.attributes": _ATTRIBUTES,
    "Result.content": _list_of(_object(type=_const("text"), text=_STRING)),
    "FileContent.data": _list_of(_object(type=_const("text"), text=_STRING)),
    "next_page": _nullable(_STRING),
    "request_counts": _object(total=_COUNT, completed=_COUNT, failed=_COUNT),
    "Batch.usage": _object(
        input_tokens=_COUNT,
        input_tokens_details=_object(cached_tokens=_COUNT),
        output_tokens=_COUNT,
        output_tokens_details=_object(reasoning_tokens=_COUNT),
        total_tokens=_COUNT,
    ),
    "usage": _nullable(
        _object(
            prompt_tokens=_COUNT,
            completion_tokens=_COUNT,
            total_tokens=_COUNT,
            prompt_token_details=_object(cached_tokens=_COUNT),
            completion_tokens_details=_object(reasoning_tokens=_COUNT),
        )
    ),
    "expires_at": {"type": ["integer", "null"], "description": "Unix time in seconds."},
    "status_details": _nullable(_STRING),
    "first_id": _nullable(_STRING),
    "last_id": _nullable(_STRING),
}
