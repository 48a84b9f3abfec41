"""What `cyxcloud up` prints once the store answers (pure)."""

from __future__ import annotations

from cli.bootstrap import Opened, Secrets
from cli.home import Home
from cyxcloud.core.config import Settings


def text(home: Home, settings: Settings, opened: Opened, endpoint: str, fleet_url: str = "") -> str:
    parts = [_summary(home, opened, endpoint, fleet_url)]
    if opened.secrets is not None:
        parts += [_secrets(home, opened.secrets), _examples(settings, opened.secrets, endpoint)]
    return "\n\n".join([*parts, "Ready. Ctrl-C stops the store."])


def _summary(home: Home, opened: Opened, endpoint: str, fleet_url: str) -> str:
    folders = ", ".join(str(folder) for folder in home.data_dirs)
    lines = [
        f"CyxCloud serves {endpoint}",
        f"  data        {folders}",
        f"  nodes       {_nodes(opened)}, profile {opened.profile}",
        f"  survives    the loss of {opened.survives}",
    ]
    lines += [f"  fleet       nodes join at {fleet_url}; `cyxcloud node token` lets one in"] if fleet_url else []
    return "\n".join([*lines, *(f"  note        {note}" for note in opened.notes)])


def _nodes(opened: Opened) -> str:
    here = str(len(opened.node_folders))
    return here if not opened.remote_nodes else f"{here} here, {opened.remote_nodes} on other boxes"


def _secrets(home: Home, secrets: Secrets) -> str:
    lines = ["Shown this once; keep both outside this machine:"]
    if secrets.recovery_code:
        lines.append(f"  recovery code  {secrets.recovery_code}")
        lines.append(
            "                 (with it and the nodes a lost home comes back; without keys no data is readable)"
        )
    lines.append(f"  root key       {secrets.access_key}")
    lines.append(f"  root secret    {secrets.secret_key}")
    return "\n".join([*lines, f"The root key also stands in {home.root_credentials}, readable by you alone."])


def _examples(settings: Settings, secrets: Secrets, endpoint: str) -> str:
    region = settings.region
    remote = (
        f"provider=Other,endpoint='{endpoint}',region={region},"
        f"access_key_id={secrets.access_key},secret_access_key='{secrets.secret_key}'"
    )
    return f"""\
Paste into a shell:
  export AWS_ACCESS_KEY_ID='{secrets.access_key}' AWS_SECRET_ACCESS_KEY='{secrets.secret_key}'
  export AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL={endpoint}

  # aws-cli
  aws s3 mb s3://photos && aws s3 cp holiday.jpg s3://photos/ && aws s3 ls s3://photos/

  # s5cmd
  s5cmd --endpoint-url {endpoint} cp 'pictures/*' s3://photos/2026/

  # rclone
  rclone copy ./pictures ":s3,{remote}:photos/2026"

  # boto3
  python3 -c "import boto3; print(boto3.client('s3', endpoint_url='{endpoint}').list_buckets()['Buckets'])\""""
