"""What the administrator decides, read once at start from one YAML file (the chart's ConfigMap).

Every default says why it has its number. SLO authors cannot reach any of this: sources, kinds and levers
are the administrator's (an author who could name a URL could make the operator call it).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from perfslo.api.v1alpha1 import SignalKind
from perfslo.api.v1alpha1.common import Name
from perfslo.core import signals
from perfslo.errors import ConfigurationError

LEAST_PATIENCE_SECONDS = 15.0
"""Short cycles are for fast signals, and no reason to give up on a slow server sooner."""
POLICY_KINDS = {
    ("gateway.envoyproxy.io", "BackendTrafficPolicy"): "/spec/loadBalancer/type",
    ("networking.istio.io", "DestinationRule"): "/spec/trafficPolicy/loadBalancer/simple",
}
"""Group and kind, and the JSON pointer to the balancing policy."""
ROUTE_KINDS = (
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("networking.istio.io", "VirtualService"),
    ("traefik.io", "TraefikService"),
    ("networking.k8s.io", "Ingress"),
)
"""Group and kind; an Ingress is a canary of ingress-nginx."""


class _Frozen(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")


class Kind(_Frozen):
    """RBAC and the admission policy are rendered from the same lists of kinds."""

    group: str
    version: str
    kind: str
    resource: str
    """The plural, as in URLs."""


class ScaleKind(Kind):
    """A kind whose /scale may be written."""


class _KnownKind(Kind):
    """One of those whose objects are understood, in the version that the cluster serves."""

    known: ClassVar[Collection[tuple[str, str]]]
    writes: ClassVar[str]
    """What of its objects is written, with its verb."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if (self.group, self.kind) not in self.known:
            known = ", ".join(f"{kind}.{group}" for group, kind in self.known)
            raise ValueError(f"{self.kind}.{self.group}: its {self.writes} not known (known: {known})")
        return self


class RouteKind(_KnownKind):
    """A kind whose weights may be written."""

    known = ROUTE_KINDS
    writes = "weights are"


class PolicyKind(_KnownKind):
    """A kind whose balancing policy may be written."""

    known = POLICY_KINDS
    writes = "balancing policy is"


HTTP_ROUTE = RouteKind(group="gateway.networking.k8s.io", version="v1", kind="HTTPRoute", resource="httproutes")
DEPLOYMENT = ScaleKind(group="apps", version="v1", kind="Deployment", resource="deployments")
STATEFUL_SET = ScaleKind(group="apps", version="v1", kind="StatefulSet", resource="statefulsets")


class Matcher(_Frozen):
    """One label matcher that the administrator puts on every selector of a source."""

    label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
    op: Annotated[str, Field(pattern=r"^(=|!=|=~|!~)$")] = "="
    value: str


def _address(text: str) -> str:
    """A URL without anything secret in it, for it is in the settings that everybody may read."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a URL such as http://prometheus.monitoring:9090")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password in it: write basicAuth")
    if parts.query or parts.fragment:
        raise ValueError("nothing after ? or # in it: write headers, or headerFiles for what is secret")
    return text


class BasicAuth(_Frozen):
    """A user by name, or from a file; the password always from a file."""

    username: Annotated[str, Field(min_length=1, pattern=r"^[^:\x00-\x1f\x7f]+$")] | None = None
    username_file: Path | None = None
    password_file: Path

    @model_validator(mode="after")
    def _names_one_user(self) -> BasicAuth:
        if (self.username is None) == (self.username_file is None):
            raise ValueError("write either username or usernameFile")
        return self


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]
AUTHORIZATION = "authorization"
_SECRET_HEADERS = frozenset({AUTHORIZATION, "proxy-authorization", "cookie"})
_CLIENTS_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "content-type", "transfer-encoding"})
"""Set by the client itself: another value would break the request or the bound on its answer."""


class Source(_Frozen):
    """A Prometheus (or anything that speaks its query API). Files are read again at each query: what is rotated is used
    at once."""

    address: Annotated[str, AfterValidator(_address)]
    matchers: tuple[Matcher, ...] = ()
    namespaces: tuple[str, ...] = ()
    """Who may use it; empty means every watched namespace."""
    tenant_label: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] = "namespace"
    """Carries the namespace in series that SLOs name or query themselves: they see their own only."""
    timeout_seconds: float = 5.0
    """A third of the default cycle: a slow source must not eat the time in which to hold safely."""
    max_response_bytes: int = 32 * 1024 * 1024
    """36,000 bucket series answer in about 1.2 MiB; this leaves room for a big cluster and none for an accident."""
    recorded_requests: bool = False
    """Whether it evaluates the chart's rules for requests, so that the hours of the error budget can be read there."""
    bearer_token_file: Path | None = None
    basic_auth: BasicAuth | None = None
    headers: Mapping[HeaderName, HeaderValue] = {}
    """Sent with each query; everybody who may read the settings may read them."""
    header_files: Mapping[HeaderName, Path] = {}
    """Headers whose values are secret, such as an API key."""
    ca_file: Path | None = None
    """Whom to trust instead of the usual authorities."""
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    """Not encrypted."""

    @model_validator(mode="after")
    def _knows_one_way_in(self) -> Source:
        plain, secret = ({name.lower() for name in names} for names in (self.headers, self.header_files))
        ways = {
            "bearerTokenFile": self.bearer_token_file is not None,
            "basicAuth": self.basic_auth is not None,
            "headerFiles.Authorization": AUTHORIZATION in secret,
        }
        if sum(ways.values()) > 1:
            raise ValueError(f"write one of {', '.join(way for way, used in ways.items() if used)}: each says who asks")
        if (self.client_cert_file is None) != (self.client_key_file is None):
            raise ValueError("write both clientCertFile and clientKeyFile, or neither")
        if self.client_cert_file and not self.address.startswith("https:"):
            raise ValueError("clientCertFile needs TLS: write an address that begins with https://")
        if names := plain & _SECRET_HEADERS:
            raise ValueError(f"headers: {', '.join(sorted(names))} is secret: write headerFiles, or basicAuth")
        if names := (plain | secret) & _CLIENTS_HEADERS:
            raise ValueError(f"headers: {', '.join(sorted(names))} is set by the client: leave it out")
        if len(plain | secret) < len(self.headers) + len(self.header_files):
            raise ValueError("headers and headerFiles: write each header once (case does not matter)")
        return self


class NamedSignal(_Frozen):
    """A number about what stands behind services, such as a database, by a query of the administrator's own."""

    kind: SignalKind
    """Durations are in seconds, ratios between 0 and 1."""
    query: str
    """PromQL that answers one row; the source's matchers are put on every selector."""
    source: str = "default"
    per: signals.Per = "Cluster"
    """How its rows belong to SLOs: one row for all; or one for each `namespace`; or for each `namespace` and `workload`
    (the Deployment's or StatefulSet's name)."""
    namespaces: tuple[str, ...] = ()
    """Who may use it; empty means who may use its source."""
    stale_after_seconds: float = Field(default=120.0, gt=0)
    """Two of the longest usual scrape intervals."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> NamedSignal:
        try:
            signals.asked(self.query, self.per)
        except ValueError as error:
            raise ValueError(f"query: {error}") from error
        return self


class Statistics(_Frozen):
    """Where postgres_exporter's series about a database are, by which slow statements and missing indexes are found."""

    source: str = "default"
    matchers: tuple[Matcher, ...] = ()
    """Which exporter; the source's matchers are put on every selector, too."""
    namespaces: tuple[str, ...] = ()
    """Whose SLOs may be told of its statements; empty means who may use its source."""


class Database(_Frozen):
    """Connections that all SLOs which name it share."""

    max_connections: int = Field(ge=1)
    """What the database, or the pooler before it, takes in all."""
    reserved: int = Field(default=0, ge=0)
    """Kept free for others: migrations, backups, people."""
    statistics: Statistics | None = None

    @model_validator(mode="after")
    def _leaves_some(self) -> Database:
        if self.reserved >= self.max_connections:
            raise ValueError("write a reserved that is less than maxConnections")
        return self


class Hook(_Frozen):
    """A provider's HTTP hook, which a lever turns on and off."""

    url: Annotated[str, AfterValidator(_address)]
    namespace: str
    """Whose SLOs may use it: of two namespaces, each would turn off what the other turned on."""
    secret_file: Path
    """Signs each request; read again each time, so that a rotated one is used at once."""
    timeout_seconds: float = Field(default=3.0, gt=0, le=5.0)
    """Of each attempt: a write that takes longer could land under the next leader."""


class Lease(_Frozen):
    """client-go's defaults; their ratio tolerates clocks that run at rates 1.5 x apart."""

    name: str = "perfslo"
    duration_seconds: float = 15.0
    renew_deadline_seconds: float = 10.0
    retry_period_seconds: float = Field(default=2.0, gt=0)

    @model_validator(mode="after")
    def _fences(self) -> Lease:
        """A holder must have stopped, and its last write have ended, before anyone else may begin."""
        if not self.retry_period_seconds < self.renew_deadline_seconds < self.duration_seconds:
            raise ValueError("write retryPeriodSeconds < renewDeadlineSeconds < durationSeconds, such as 2, 10 and 15")
        return self


class Settings(_Frozen):
    namespace: str = "perfslo-system"
    """Where the operator itself lives: its Lease and nothing else."""
    watch_namespaces: tuple[str, ...] = ()
    """Empty means the whole cluster."""
    cycle_seconds: float = Field(default=15.0, ge=0.5, le=300.0)
    """HPA's sync period: users' expectations and most scrape intervals are built around it."""
    resync_seconds: float = 60.0
    """How long a ghost (an object whose deletion the watch missed) can live."""
    levers: tuple[str, ...] = ("replicas",)
    databases: Mapping[Name, Database] = {}
    """Budgets of connections, by the name that SLOs give in spec.levers.database.budget."""
    hooks: Mapping[Name, Hook] = {}
    """By the name that SLOs give in spec.levers.cdn.hook."""
    scale_kinds: tuple[ScaleKind, ...] = (DEPLOYMENT, STATEFUL_SET)
    route_kinds: tuple[RouteKind, ...] = (HTTP_ROUTE,)
    policy_kinds: tuple[PolicyKind, ...] = ()
    """None unless somebody wants it: few clusters have such kinds."""
    sources: dict[str, Source] = {}
    signals: Mapping[Name, NamedSignal] = {}
    presets_dir: Path | None = None
    """The administrator's own presets, beside the built-in ones."""
    lease: Lease = Lease()
    port: int = 8080
    status_writes_per_second: float = 5.0
    """Ten thousand SLOs must not flood the API server; ten look live."""
    release_grace_seconds: float = 60.0
    """A deleted SLO's levers are released after this: `kubectl replace --force` deletes and creates."""
    log_level: str = "info"

    @property
    def patience_seconds(self) -> float:
        """For each part of a cycle: what is not done by then is given up and goes on in the next one."""
        return max(LEAST_PATIENCE_SECONDS, self.cycle_seconds)

    @model_validator(mode="after")
    def _sources_are_defined(self) -> Settings:
        named = {f"signals.{name}": signal.source for name, signal in self.signals.items()} | {
            f"databases.{name}.statistics": database.statistics.source
            for name, database in self.databases.items()
            if database.statistics
        }
        for where, source in named.items():
            if source not in self.sources:
                defined = ", ".join(sorted(self.sources)) or "none"
                raise ValueError(f"{where}.source: no source {source!r} is defined (defined: {defined})")
        return self


class _Loader(yaml.SafeLoader):
    """A lone `=` is a string, as it is for whoever wrote `op: =`, Helm among them."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: "=")


def read_yaml(text: str) -> object:
    """What the text says. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader


def load(path: Path) -> Settings:
    """Read and check the settings file.

    Raises:
        ConfigurationError: the file cannot be read or does not fit; the message names the field.
    """
    try:
        return Settings.model_validate(read_yaml(path.read_text()) or {})
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read settings from {path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        # Not as its cause: that quotes what was written, and a secret may have been written where none belongs.
        raise ConfigurationError(f"settings in {path}: {problems}") from None
