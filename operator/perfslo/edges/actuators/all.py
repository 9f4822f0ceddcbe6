"""The levers of this version."""

from __future__ import annotations

from perfslo.edges.actuators.configmap import ConfigMapActuator
from perfslo.edges.actuators.hook import HookActuator
from perfslo.edges.actuators.levers import Levers
from perfslo.edges.actuators.policy import PolicyActuator
from perfslo.edges.actuators.routes import RouteActuator
from perfslo.edges.actuators.scale import ScaleActuator
from perfslo.edges.claims import Claims
from perfslo.edges.hooks import Hooks
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.settings import Settings


def every_lever(api: Api, writer: Writer, claims: Claims, settings: Settings) -> Levers:
    """Each with its actuator."""
    return Levers(
        claims,
        ScaleActuator(api, writer, claims, settings.scale_kinds),
        RouteActuator(api, writer, claims, settings.route_kinds),
        PolicyActuator(api, writer, claims, settings.policy_kinds),
        ConfigMapActuator(api, writer, claims),
        HookActuator(Hooks(settings.hooks), writer, claims),
    )
