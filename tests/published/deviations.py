"""Where Treadle's answers differ from the published interface on purpose: why, and what holds
instead. Nothing else softens or sharpens `assistants.json`.

A patch is laid over what is published: None removes, `required` is added to, all else replaces.
"""

from typing import Any

Patch = dict[str, Any]


def _in(names: str, patch: Patch) -> Patch:
    return {"schemas": dict.fromkeys(names.split(), patch)}


def _with(**properties: Patch | None) -> Patch:
    return {"properties": properties}


def _always(*names: str) -> Patch:
    return {"required": list(names)}


def _named(**prefixes: str) -> Patch:
    """Ids in these properties, as recorded: a prefix and 24 letters and digits."""
    return _with(**{name: {"pattern": _id(prefix)} for name, prefix in prefixes.items()})


def _id(prefix: str) -> str:
    return f"^{prefix}{'-' if prefix == 'file' else '_'}[A-Za-z0-9]{{24}}$"


_LISTS = (
    "ListAssistantsResponse ListFilesResponse ListMessagesResponse ListRunStepsResponse"
    " ListRunsResponse ListVectorStoresResponse ListVectorStoreFilesResponse"
)
_OF_A_BATCH = (
    *("model", "errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at"),
    *("completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"),
)
_USAGES = "RunCompletionUsage RunStepCompletionUsage"
_INSTANT: Patch = {"type": ["integer", "null"], "format": "unixtime"}
_EFFORT: Patch = {"enum": ["none", "minimal", "low", "medium", "high", "xhigh", "max", None]}
_RESOURCES: Patch = {
    "type": "object",
    **_with(
        code_interpreter={
            "type": "object",
            **_with(file_ids={"type": "array", "maxItems": 20, "items": {"type": "string"}}),
        },
        file_search={
            "type": "object",
            **_with(vector_store_ids={"type": "array", "maxItems": 1, "items": {"type": "string"}}),
        },
    ),
}
_DEFAULTED: Patch = _with(
    temperature={"type": "number"},
    top_p={"type": "number"},
    response_format={"anyOf": None, "$ref": "#/schemas/AssistantsApiResponseFormatOption"},
)

RECORDED: tuple[tuple[str, Patch], ...] = (
    (
        "An empty list has no first and no last id: recorded null.",
        _in(
            f"{_LISTS} ListBatchesResponse",
            _with(first_id={"type": ["string", "null"]}, last_id={"type": ["string", "null"]}),
        ),
    ),
    (
        "A run whose assistant has no instructions: recorded null.",
        _in("RunObject", _with(instructions={"type": ["string", "null"]})),
    ),
    (
        "A run takes over all of its assistant's tools, which may be 128.",
        _in("RunObject", _with(tools={"maxItems": 128})),
    ),
    (
        "Recorded and always sent, though not published.",
        {
            "schemas": {
                "AssistantObject": _with(reasoning_effort=_EFFORT) | _always("reasoning_effort"),
                "RunObject": _with(reasoning_effort=_EFFORT, tool_resources=_RESOURCES)
                | _always("reasoning_effort", "tool_resources"),
                "RunStepObject": _with(expires_at=_INSTANT) | _always("expires_at"),
            }
        },
    ),
    (
        "Usage tells its details, under names as recorded.",
        _in(
            _USAGES,
            _with(
                prompt_token_details={
                    **_with(cached_tokens={"type": "integer"}),
                    **_always("cached_tokens"),
                },
                completion_tokens_details={
                    **_with(reasoning_tokens={"type": "integer"}),
                    **_always("reasoning_tokens"),
                },
            )
            | _always("prompt_token_details", "completion_tokens_details"),
        ),
    ),
    (
        "A file that does not expire, and one of which there is nothing to say: recorded null.",
        _in(
            "OpenAIFile",
            _with(
                expires_at={"type": ["integer", "null"]},
                status_details={"type": ["string", "null"]},
            ),
        ),
    ),
    (
        "A vector store without a name or an end: recorded null; and it may have a description.",
        _in(
            "VectorStoreObject",
            _with(
                name={"type": ["string", "null"]},
                expires_after={"type": ["object", "null"]},
                description={"type": ["string", "null"]},
            )
            | _always("description", "expires_after", "expires_at"),
        ),
    ),
    (
        "A batch of files has another name on the wire than is published.",
        _in("VectorStoreFileBatchObject", _with(object={"const": "vector_store.file_batch"})),
    ),
    (
        "What a batch has not come to: recorded null.",
        _in(
            "Batch",
            _with(
                model={"type": ["string", "null"]},
                errors={"type": ["object", "null"]},
                output_file_id={"type": ["string", "null"]},
                error_file_id={"type": ["string", "null"]},
                **{
                    name: {"type": ["integer", "null"]}
                    for name in _OF_A_BATCH
                    if name.endswith("_at")
                },
            ),
        ),
    ),
    (
        "A file has the purpose that it was uploaded for.",
        _in(
            "OpenAIFile",
            _with(
                purpose={
                    "enum": [
                        *("assistants", "assistants_output", "batch", "batch_output", "evals"),
                        *("fine-tune", "fine-tune-results", "vision", "user_data"),
                    ]
                }
            ),
        ),
    ),
    (
        "What a search found has its file's attributes, and the delta of a search begins it.",
        {
            "schemas": {
                "RunStepDetailsToolCallsFileSearchResultObject": _with(
                    attributes={"$ref": "#/schemas/VectorStoreFileAttributes"}
                )
                | _always("attributes"),
                "RunStepDeltaStepDetailsToolCallsFileSearchObject": _with(
                    file_search=_with(
                        ranking_options={
                            "$ref": "#/schemas/RunStepDetailsToolCallsFileSearchRankingOptionsObject"
                        },
                        results={"type": "array", "maxItems": 0},
                    )
                    | _always("ranking_options", "results")
                )
                | _always("id"),
            }
        },
    ),
    (
        "An error in a stream is the whole envelope: the official client passes over a flat one.",
        {"events": {"error": "ErrorResponse"}},
    ),
)

OWN: tuple[tuple[str, Patch], ...] = (
    (
        "The address of an image is shown as it was given, and not judged.",
        _in("MessageContentImageUrlObject", _with(image_url=_with(url={"format": None}))),
    ),
    (
        "When a model was made is the model server's word, which may be 0.",
        _in("Model", _with(created={"format": None, "minimum": 0}, shutdown_date=None)),
    ),
)

STRICTER: tuple[tuple[str, Patch], ...] = (
    (
        "Recorded in every answer, though published as optional.",
        {
            "schemas": {
                "AssistantObject": _always(
                    "tool_resources", "temperature", "top_p", "response_format"
                ),
                "RunObject": _with(incomplete_details=_always("reason"))
                | _always("temperature", "top_p"),
                "FunctionObject": _always("parameters", "strict"),
                "OpenAIFile": _always("expires_at", "status_details"),
                "Batch": _with(errors=_always("object", "data"))
                | _always(*_OF_A_BATCH, "expires_at", "request_counts", "usage", "metadata"),
                "BatchError": _always("code", "message", "param", "line"),
                "ListBatchesResponse": _always("first_id", "last_id"),
                "VectorStoreFileObject": _always("chunking_strategy", "attributes"),
                "VectorStoreFileContentResponse": _with(
                    data={"items": _always("type", "text") | _with(type={"const": "text"})}
                ),
                "TruncationObject": _always("last_messages"),
                "MessageObject": _with(attachments={"items": _always("file_id", "tools")}),
                "MessageContentImageFileObject": _with(image_file=_always("detail")),
                "MessageContentImageUrlObject": _with(image_url=_always("detail")),
                "MessageDeltaObject": _with(delta=_always("content")),
                "MessageDeltaContentTextObject": _with(text=_always("value")) | _always("text"),
                "MessageDeltaContentRefusalObject": _always("refusal"),
                "MessageDeltaContentImageUrlObject": _always("image_url"),
                "MessageDeltaContentImageFileObject": _always("image_file"),
                "RunStepDeltaObject": _with(delta=_always("step_details")),
                "RunStepDeltaStepDetailsToolCallsObject": _always("tool_calls"),
                "RunStepDetailsToolCallsFileSearchObject": _with(
                    file_search=_always("ranking_options", "results")
                ),
                "RunStepDetailsToolCallsFileSearchResultObject": _with(
                    content={"items": _always("type", "text")}
                ),
                "FileSearchRankingOptions": _always("ranker"),
                "AssistantToolsFileSearch": _with(file_search=_always("ranking_options"))
                | _always("file_search"),
                "MessageDeltaContentTextAnnotationsFileCitationObject": _with(
                    file_citation=_always("file_id", "quote")
                )
                | _always("text", "start_index", "end_index", "file_citation"),
                "RunStepDeltaStepDetailsToolCallsFunctionObject": _with(
                    function=_always("arguments")
                )
                | _always("function"),
            }
        },
    ),
    (
        "Defaults are filled in, so that these are never null.",
        {
            "schemas": {
                "Metadata": {"type": "object"},
                "ThreadObject": _with(tool_resources={"type": "object"}),
                "MessageObject": _with(attachments={"type": "array"}),
                "VectorStoreFileAttributes": {"type": "object"},
                "VectorStoreObject": _with(last_active_at={"type": "integer"}),
                "AssistantObject": _with(
                    **_DEFAULTED["properties"], tool_resources={"type": "object"}
                ),
                "RunObject": _with(
                    **_DEFAULTED["properties"],
                    truncation_strategy={"anyOf": None, "$ref": "#/schemas/TruncationObject"},
                    tool_choice={
                        "anyOf": None,
                        "$ref": "#/schemas/AssistantsApiToolChoiceOption",
                    },
                ),
            }
        },
    ),
    (
        "Published in words only: how many pairs there may be and how long.",
        _in(
            "Metadata",
            {
                "maxProperties": 16,
                "propertyNames": {"maxLength": 64},
                "additionalProperties": {"type": "string", "maxLength": 512},
            },
        ),
    ),
    (
        "There are two kinds of requests in a batch, and one window.",
        _in(
            "Batch",
            _with(
                endpoint={"enum": ["/v1/threads/runs", "/v1/chat/completions"]},
                completion_window={"const": "24h"},
                errors=_with(object={"const": "list"}),
                metadata={"type": "object"},
            ),
        ),
    ),
    (
        "A file is there when its upload is answered.",
        _in("OpenAIFile", _with(status={"enum": ["processed"]}, bytes={"minimum": 0})),
    ),
    (
        "Never on the wire: a delta names no role.",
        _in("MessageDeltaObject", _with(delta=_with(role=None))),
    ),
    ("A list says that it is one.", _in(_LISTS, _with(object={"const": "list"}))),
    (
        "What is deleted is.",
        _in(
            "DeleteAssistantResponse DeleteFileResponse DeleteMessageResponse DeleteThreadResponse"
            " DeleteVectorStoreResponse DeleteVectorStoreFileResponse",
            _with(deleted={"const": True}),
        ),
    ),
    (
        "Recorded: the caller's fault, or ours; and known from OpenAI's other calls, too many requests.",
        _in(
            "Error",
            _with(
                type={"enum": ["invalid_request_error", "server_error", "requests"]},
                message={"minLength": 1},
            ),
        ),
    ),
    (
        "Ids as recorded.",
        {
            "schemas": {
                "AssistantObject": _named(id="asst"),
                "ThreadObject": _named(id="thread"),
                "MessageObject": _named(
                    id="msg", thread_id="thread", run_id="run", assistant_id="asst"
                ),
                "RunObject": _named(id="run", thread_id="thread", assistant_id="asst"),
                "RunStepObject": _named(
                    id="step", run_id="run", thread_id="thread", assistant_id="asst"
                ),
                "RunStepDetailsMessageCreationObject": _with(
                    message_creation=_named(message_id="msg")
                ),
                "MessageDeltaObject": _named(id="msg"),
                "RunStepDeltaObject": _named(id="step"),
                "OpenAIFile": _named(id="file"),
                "Batch": _named(
                    id="batch", input_file_id="file", output_file_id="file", error_file_id="file"
                ),
                "ListBatchesResponse": _named(first_id="batch", last_id="batch"),
                "DeleteAssistantResponse": _named(id="asst"),
                "DeleteFileResponse": _named(id="file"),
                "DeleteMessageResponse": _named(id="msg"),
                "DeleteThreadResponse": _named(id="thread"),
                "VectorStoreObject": _named(id="vs"),
                "VectorStoreFileObject": _named(id="file", vector_store_id="vs"),
                "VectorStoreFileBatchObject": _named(id="vsfb", vector_store_id="vs"),
                "DeleteVectorStoreResponse": _named(id="vs"),
                "DeleteVectorStoreFileResponse": _named(id="file"),
                "ListVectorStoresResponse": _named(first_id="vs", last_id="vs"),
                "ListVectorStoreFilesResponse": _named(first_id="file", last_id="file"),
                "ListAssistantsResponse": _named(first_id="asst", last_id="asst"),
                "ListFilesResponse": _named(first_id="file", last_id="file"),
                "ListMessagesResponse": _named(first_id="msg", last_id="msg"),
                "ListRunStepsResponse": _named(first_id="step", last_id="step"),
                "ListRunsResponse": _named(first_id="run", last_id="run"),
            }
        },
    ),
)

DEVIATIONS = (*RECORDED, *OWN, *STRICTER)
