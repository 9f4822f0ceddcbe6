// The process that holds a pod's namespaces.
module perfslo.io/dev/cluster/pause

go 1.26.0
