"""Kinds of objects that share requests among backends: how each is read, and how its weights are written. No I/O here.

One module a kind says where the weights are (`project`); what is the same for all of them is in `rules`.
"""

from perfslo.edges.kube.routes import httproute, ingress_nginx, traefikservice, virtualservice
from perfslo.edges.kube.routes.rules import Dialect

DIALECTS: dict[tuple[str, str], Dialect] = {
    httproute.KIND: httproute.DIALECT,
    virtualservice.KIND: virtualservice.DIALECT,
    traefikservice.KIND: traefikservice.DIALECT,
    ingress_nginx.KIND: ingress_nginx.DIALECT,
}
"""By API group and kind."""
