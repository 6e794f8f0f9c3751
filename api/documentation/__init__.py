"""/openapi.json and /docs: what the API is, told by the same schemas that judge its requests."""
