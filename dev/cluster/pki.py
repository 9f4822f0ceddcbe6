"""Certificates and kubeconfigs of a local cluster, made with openssl."""

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from paths import PKI, STATE
from shell import output

ADMIN_KUBECONFIG = STATE / "kubeconfig"

_DAYS = "3650"
_OPENSSL_CONFIG = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = {extensions}
[name]
CN = {common_name}
{organization}
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign,digitalSignature
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
authorityKeyIdentifier = keyid
{alternative_names}
"""


@dataclass(frozen=True)
class Leaf:
    """A certificate: who it is (`group` is the Kubernetes group) and where it serves."""

    name: str
    common_name: str
    group: str = ""
    hosts: tuple[str, ...] = ()


def make(node_name: str, node_ip: str, service_ip: str, port: int = 6443) -> None:
    """Write every key, certificate and kubeconfig that a cluster of one node needs."""
    PKI.mkdir(parents=True, mode=0o700, exist_ok=True)
    _authority("ca", "perfslo-cluster")
    _authority("front-proxy-ca", "perfslo-cluster-front-proxy")
    _key("service-accounts")
    output("openssl", "pkey", "-in", PKI / "service-accounts.key", "-pubout", "-out", PKI / "service-accounts.pub")

    api_server_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    api_server_hosts = (*api_server_names, "kubernetes.default.svc.cluster.local", node_ip, service_ip, "127.0.0.1")
    for leaf in (
        Leaf("kube-apiserver", "kube-apiserver", hosts=api_server_hosts),
        Leaf("etcd", "etcd", hosts=("localhost", "127.0.0.1")),
        Leaf("kubelet", node_name, hosts=(node_name, node_ip)),
        Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    ):
        _leaf(leaf, "ca")
    _leaf(Leaf("front-proxy-client", "front-proxy-client"), "front-proxy-ca")

    server = f"https://{node_ip}:{port}"
    for leaf, path in (
        (Leaf("admin", "kubernetes-admin", "system:masters"), ADMIN_KUBECONFIG),
        (Leaf("node", f"system:node:{node_name}", "system:nodes"), STATE / "kubelet.kubeconfig"),
        (Leaf("kube-controller-manager", "system:kube-controller-manager"), None),
        (Leaf("kube-scheduler", "system:kube-scheduler"), None),
        (Leaf("kube-proxy", "system:kube-proxy"), None),
        (Leaf("coredns", "system:coredns"), None),
    ):
        _leaf(leaf, "ca")
        _kubeconfig(path or STATE / f"{leaf.name}.kubeconfig", leaf.name, server)


def _key(name: str) -> None:
    key = output("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    _write_private(PKI / f"{name}.key", key)


def _authority(name: str, common_name: str) -> None:
    _key(name)
    _sign(name, _OPENSSL_CONFIG.format(extensions="ca", common_name=common_name, organization="", alternative_names=""))


def _leaf(leaf: Leaf, authority: str) -> None:
    _key(leaf.name)
    hosts = ",".join(f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in leaf.hosts)
    config = _OPENSSL_CONFIG.format(
        extensions="leaf",
        common_name=leaf.common_name,
        organization=f"O = {leaf.group}" if leaf.group else "",
        alternative_names=f"subjectAltName = {hosts}" if hosts else "",
    )
    _sign(leaf.name, config, "-CA", PKI / f"{authority}.crt", "-CAkey", PKI / f"{authority}.key")


def _sign(name: str, config: str, *issuer: str | Path) -> None:
    request = PKI / f"{name}.cnf"
    request.write_text(config)
    certificate = PKI / f"{name}.crt"
    output(
        "openssl", "req", "-x509", "-new", "-config", request, "-key", PKI / f"{name}.key",
        "-days", _DAYS, "-out", certificate, *issuer,
    )  # fmt: skip
    request.unlink()


def _kubeconfig(path: Path, name: str, server: str) -> None:
    def data(file: str) -> str:
        return b64encode((PKI / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "perfslo", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": data(f"{name}.crt"),
                    "client-key-data": data(f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": "perfslo", "context": {"cluster": "perfslo", "user": name}}],
        "current-context": "perfslo",
    }
    # JSON is YAML, and every Kubernetes client reads it.
    _write_private(path, json.dumps(config, indent=2))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
