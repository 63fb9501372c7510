from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bytelog.config import SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
GUIDE = (ROOT / "docs" / "operations.md").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    described: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return described


@pytest.fixture(scope="module")
def service(compose: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = compose["services"]["bytelog"]
    return described


def test_every_file_that_the_dockerfile_copies_exists() -> None:
    copied = re.findall(r"^COPY (?!--)(.*) /", DOCKERFILE, re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()


@pytest.mark.slow
def test_the_compose_file_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, COMPOSE], check=True)


def test_the_compose_file_builds_the_dockerfile(service: dict[str, Any]) -> None:
    context = (COMPOSE.parent / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).read_text() == DOCKERFILE


def test_only_this_machine_reaches_the_port_that_the_image_exposes(service: dict[str, Any]) -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert service["ports"] == [f"127.0.0.1:8000:{exposed}"]
    assert f"http://127.0.0.1:{exposed}/healthz" in DOCKERFILE


def test_the_data_is_in_a_named_volume(compose: dict[str, Any], service: dict[str, Any]) -> None:
    (folder,) = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"BYTELOG_DATA={folder}" in DOCKERFILE
    assert [f"{name}:{folder}" for name in compose["volumes"]] == service["volumes"]


def test_every_secret_is_the_file_of_a_setting(
    compose: dict[str, Any], service: dict[str, Any]
) -> None:
    assert set(service["secrets"]) == set(compose["secrets"])
    for name, path in service["environment"].items():
        setting = name.removesuffix("_FILE")
        assert setting in SETTINGS
        assert path == f"/run/secrets/{setting.lower()}"
    assert [path.rpartition("/")[2] for path in service["environment"].values()] == service[
        "secrets"
    ]


def test_the_guide_lets_the_user_of_the_image_read_the_secrets(compose: dict[str, Any]) -> None:
    (user,) = re.findall(r"--uid (\d+)", DOCKERFILE)
    for secret in compose["secrets"].values():
        assert re.search(rf"install -o {user} -m 400 \S+ {secret['file']}\n", GUIDE)
