// SPDX-License-Identifier: Apache-2.0

//go:build components

// Package components names the commands that are built from this module.
package components

import (
	_ "go.etcd.io/etcd/etcdctl/v3"
	_ "go.etcd.io/etcd/etcdutl/v3"
	_ "go.etcd.io/etcd/server/v3"
)
