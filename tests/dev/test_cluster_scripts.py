"""What the cluster's scripts work out before they touch the machine."""

from pathlib import Path

import binaries
import debian
import images
import network
import pip_configuration
import pytest
from shell import ClusterError

from tests.conftest import ROOT


def test_only_the_rules_of_kubernetes_are_taken_out() -> None:
    rules = [
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":KUBE-SERVICES - [0:0]",
        ":DOCKER - [0:0]",
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A KUBE-SERVICES -d 10.96.0.1/32 -j RETURN",
        "COMMIT",
    ]
    assert network.without_kubernetes(rules) == [rules[0], rules[1], rules[3], rules[5], rules[7]]


def test_what_a_dockerfile_copies_is_its_context() -> None:
    dockerfile = """\
COPY requirements.lock pyproject.toml ./
COPY --chown=1:1 operator ./operator
COPY --from=build /opt/perfslo /opt/perfslo
COPY bin/vegeta /usr/local/bin/vegeta
"""
    assert list(images.copied_from_context(dockerfile)) == ["requirements.lock", "pyproject.toml", "operator"]


@pytest.mark.parametrize("image", images.IMAGES.values(), ids=str)
def test_everything_that_an_image_copies_exists(image: images.Image) -> None:
    dockerfile = (image.context / "Dockerfile").read_text()
    assert [source for source in images.copied_from_context(dockerfile) if not (image.context / source).exists()] == []


def test_variables_win_over_files_in_pips_settings() -> None:
    listing = ":env:.cert='/from/variable.pem'\nglobal.cert='/from/file.pem'\ninstall.no-binary='lxml'\n"
    assert pip_configuration.parse(listing) == {"global.cert": "/from/variable.pem", "install.no-binary": "lxml"}


def test_a_changed_pin_gives_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "part").mkdir()
    module = tmp_path / "part" / "go.mod"
    monkeypatch.setattr(binaries, "HERE", tmp_path)
    part = binaries.Part("part", {"part": "example.org/part"})
    module.write_text("require example.org/part v1.0.0")
    before = part.fingerprint()
    assert part.fingerprint() == before
    module.write_text("require example.org/part v1.0.1")
    assert part.fingerprint() != before


def test_kubernetes_says_the_version_that_it_is_built_from() -> None:
    pinned = (ROOT / "dev" / "cluster" / "kubernetes" / "go.mod").read_text()
    kubernetes = next(part for part in binaries.NODE if part.directory == "kubernetes")
    version = kubernetes.version_flags.split("gitVersion=")[1].split()[0]
    assert f"require k8s.io/kubernetes {version}\n" in pinned


def test_without_go_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="install Go"):
        binaries.ensure(binaries.CLIENTS)


def test_without_apt_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="no apt-get"):
        debian.program("prometheus", "usr/bin/prometheus")
