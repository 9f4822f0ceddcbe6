//go:build tools

// Package tools names the commands to build, so that "go mod tidy" keeps what they need.
package tools

import _ "github.com/prometheus-community/postgres_exporter/cmd/postgres_exporter"
