"""OwnershipControls: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html (pure)."""

from __future__ import annotations

from cyxcloud.objects.ownership import Ownership, OwnershipControls
from s3gw import xml
from s3gw.xml_reader import TEXT, Many, Struct, items, malformed, read, text_of

MAX_BYTES = 16 << 10
# A second rule is refused by the shape: an object has one owner.
_CONTROLS = Struct({"Rule": Many(Struct({"ObjectOwnership": TEXT}), 1)})
RULES = {rule.value: rule for rule in Ownership}


def parse(body: bytes) -> OwnershipControls:
    """Raises MalformedXML."""
    rules = items(read(body, "OwnershipControls", _CONTROLS, MAX_BYTES), "Rule")
    rule = RULES.get(text_of(rules[0], "ObjectOwnership") or "") if rules else None
    if rule is None:
        raise malformed()
    return OwnershipControls(rule)


def render(controls: OwnershipControls) -> bytes:
    rule = f"<Rule><ObjectOwnership>{controls.rule.value}</ObjectOwnership></Rule>"
    return xml.document("OwnershipControls", rule)
