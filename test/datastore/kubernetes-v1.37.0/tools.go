// SPDX-License-Identifier: Apache-2.0

//go:build components

// Package components names the command that is built from this module.
package components

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
