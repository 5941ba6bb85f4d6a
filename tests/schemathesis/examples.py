"""Holds every example in an OpenAPI document against its schema.

    examples.py http://127.0.0.1:8080/openapi.json
"""

import json
import sys
import urllib.request

import jsonschema_rs


def media_types(node, where):
    """Every object with a schema and examples beside it, and where it is."""
    if isinstance(node, dict):
        if "schema" in node and ("example" in node or "examples" in node):
            yield where, node
        for name, value in node.items():
            yield from media_types(value, f"{where}/{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from media_types(value, f"{where}/{index}")


def main(address):
    with urllib.request.urlopen(address) as answer:
        document = json.load(answer)
    checked, wrong = 0, []
    for where, media in media_types(document["paths"], ""):
        schema = {**media["schema"], "components": document["components"]}
        validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        named = {name: example["value"] for name, example in media.get("examples", {}).items()}
        if "example" in media:
            named["example"] = media["example"]
        for name, value in named.items():
            checked += 1
            wrong += [f"{where} {name}: {error.message}" for error in validator.iter_errors(value)]
    print(f"{checked} examples checked against their schemas")
    sys.exit("\n".join(wrong) if wrong or not checked else 0)


main(sys.argv[1])
