"""What schemathesis has to be told of xs: what a line of a body is, what there is to find, and that
following has no end."""

import base64
import hashlib
import itertools
import json
import os
import re
from urllib.parse import quote, unquote

import schemathesis
from hypothesis import strategies as st

# What may be named, and what is there: some content that `fuzz` stores, and one of its frames.
NAMES = {
    "hash": (
        re.compile(r"sha256-[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="),
        "sha256-" + base64.b64encode(hashlib.sha256(b"the content of a").digest()).decode(),
    ),
    "id": (re.compile(r"[0-9A-Fa-f][0-9A-Za-z]{24}"), os.environ.get("XS_FUZZ_ID", "03d4q1qhbiv09ovtuhokw5yxv")),
}
META = re.compile(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def base36(number):
    digits = ""
    for _ in range(25):
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


PARTS = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
TOPICS = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: "t" + ".".join(parts))
# Ids of the past: those ahead of the clock are refused.
IDS = st.integers(0, 1_700_000_000_000 << 80).map(base36)
HASHES = st.binary(min_size=32, max_size=32).map(lambda digest: "sha256-" + base64.b64encode(digest).decode())
TTLS = st.sampled_from(["forever", "time:1", "time:9999999999999", "last:1", "last:100000"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=16,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n"])


def encoded(values):
    return values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def lines(required, bad):
    """A good frame on each line; or some of them bad, or no frame at all."""
    good = st.fixed_dictionaries(
        required, optional={"hash": st.none() | HASHES, "meta": VALUES, "ttl": st.none() | TTLS}
    )
    fields = {**required, **{name: values | st.text(max_size=8) for name, values in bad.items()}}
    mixed = st.fixed_dictionaries(fields, optional={"meta": VALUES, "ttl": st.text(), "hash": st.text(), "x": VALUES})
    some = st.lists(encoded(good), min_size=1, max_size=5)
    any = st.lists(encoded(good) | encoded(mixed) | encoded(VALUES) | st.binary(max_size=32), max_size=5)
    return st.tuples(some | any, ENDS).map(lambda drawn: drawn[1].join(drawn[0]))


schemathesis.openapi.media_type(
    "application/x-ndjson",
    lines({"topic": TOPICS}, {"topic": TOPICS}) | lines({"topic": TOPICS, "id": IDS}, {"id": IDS}),
)


CALLS = itertools.count()


@schemathesis.hook
def before_call(context, case, **kwargs):
    query = case.query or {}
    follow = query.get("follow")
    if isinstance(follow, list) and len(follow) == 1:
        follow = follow[0]
    text = str(follow)
    # `fuzz` tries by itself what goes on for ever. Here following is refused, or off.
    if follow is not None and (text in ("", "true", "yes") or (text.isdigit() and text.strip("0"))):
        query["follow"] = "no"


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # Of two good names, one is that of something, unless that is to be removed.
    if context.operation.method.upper() == "DELETE":
        return path_parameters
    for name, (good, found) in NAMES.items():
        if good.fullmatch(unquote(str((path_parameters or {}).get(name, "")))) and next(CALLS) % 2:
            path_parameters[name] = found
    return path_parameters


@schemathesis.hook
def map_headers(context, headers):
    headers = headers or {}
    # Of two good metas, one is JSON; of two reads, one is of events.
    meta = headers.get("xs-meta")
    if isinstance(meta, str) and META.fullmatch(meta) and next(CALLS) % 2:
        headers["xs-meta"] = base64.b64encode(json.dumps({"some": [meta, None]}).encode()).decode()
    if context.operation.path == "/" and next(CALLS) % 2:
        headers["Accept"] = "text/event-stream"
    return headers
