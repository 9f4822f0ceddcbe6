//go:build tools

// Package tools names what is needed, so that "go mod tidy" keeps it.
package tools

import _ "istio.io/api/networking/v1"
