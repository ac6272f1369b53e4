// SPDX-License-Identifier: Apache-2.0

//go:build components

// Package components names the commands that are built from this module.
package components

import (
	_ "github.com/yannh/kubeconform/cmd/kubeconform"
)
