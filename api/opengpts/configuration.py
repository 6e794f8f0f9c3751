"""An assistant's `config` → the settings of an assistant. Pure.

`configurable` holds flat keys. Those of one type of bot bear its name, as in
`type==agent/system_message`; without the prefix they hold for all.
"""

from typing import Any

from api.opengpts.faults import Detail, UnprocessableError

DEFAULT_TYPE = "agent"
DEFAULT_MODEL = "gpt-4o"
DEFAULT_SYSTEM_MESSAGE = "You are a helpful assistant."
# A model was called by what its type of bot calls it: `GPT 3.5 Turbo`.
_MODEL_KEYS = ("model", "agent_type", "llm_type", "llm")
_LONGEST_MODEL = 256
_LONGEST_INSTRUCTIONS = 256_000


def settings(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Raises UnprocessableError for what no assistant can have."""
    configurable = config.get("configurable", {})
    type_ = configurable.get("type", DEFAULT_TYPE)
    model = next(
        filter(None, (_given(configurable, type_, key, _LONGEST_MODEL) for key in _MODEL_KEYS)),
        DEFAULT_MODEL,
    )
    said = _given(configurable, type_, "system_message", _LONGEST_INSTRUCTIONS)
    return {
        "name": name,
        "model": _model_name(model),
        "instructions": DEFAULT_SYSTEM_MESSAGE if said is None else said,
    }


def schema() -> dict[str, Any]:
    """What `config` may hold that has an effect, as JSON Schema."""
    prefix = f"type=={DEFAULT_TYPE}/"
    properties = {
        "type": {"type": "string", "title": "Bot Type", "default": DEFAULT_TYPE},
        f"{prefix}agent_type": {"type": "string", "title": "Model", "default": DEFAULT_MODEL},
        f"{prefix}system_message": {
            "type": "string",
            "title": "System Message",
            "default": DEFAULT_SYSTEM_MESSAGE,
        },
    }
    configurable = {"type": "object", "title": "Configurable", "properties": properties}
    return {"type": "object", "title": "Config", "properties": {"configurable": configurable}}


def _given(configurable: dict[str, Any], type_: Any, key: str, longest: int) -> str | None:
    for name in (f"type=={type_}/{key}", key):
        value = configurable.get(name)
        if value is None:
            continue
        loc = ("body", "config", "configurable", name)
        if not isinstance(value, str):
            raise UnprocessableError([Detail(loc, "str type expected", "type_error.str")])
        if len(value) > longest:
            message = f"ensure this value has at most {longest} characters"
            raise UnprocessableError([Detail(loc, message, "value_error.any_str.max_length")])
        return value
    return None


def _model_name(model: str) -> str:
    """`GPT 3.5 Turbo` is gpt-3.5-turbo; a name without spaces is one that a server knows."""
    return model.lower().replace(" ", "-") if " " in model else model
