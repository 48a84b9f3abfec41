"""How a request names a named key."""

from __future__ import annotations

import pytest

from cyxcloud.objects.errors import KmsKeyNotFound
from cyxcloud.objects.key_names import default_arn, key_name

REGION = "eu-1"
ARN = f"arn:aws:kms:{REGION}:111122223333:"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("payroll", "payroll"),
        ("alias/payroll", "payroll"),
        (f"{ARN}key/payroll", "payroll"),
        (f"{ARN}alias/dept/payroll", "dept/payroll"),
        ("alias/aws/s3", "aws/s3"),
        (default_arn(REGION), "aws/s3"),
    ],
)
def test_key_name_of_each_form(text: str, name: str) -> None:
    assert key_name(text, REGION) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aws/s3", "Invalid keyId 'aws/s3'"),
        ("arn:aws:kms:us-west-2:111122223333:key/payroll", "Invalid arn us-west-2"),
        ("arn:aws:s3:::payroll", "Invalid arn arn:aws:s3:::payroll"),
        (f"{ARN}grant/payroll", f"Invalid arn {ARN}grant/payroll"),
        ("arn:", "Invalid arn arn:"),
    ],
)
def test_key_name_of_what_names_no_key(text: str, message: str) -> None:
    with pytest.raises(KmsKeyNotFound) as caught:
        key_name(text, REGION)
    assert str(caught.value) == message
