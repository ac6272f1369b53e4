// SPDX-License-Identifier: Apache-2.0

//go:build components

// Package kine names the program that the benchmark compares with.
package kine

import _ "github.com/k3s-io/kine"
