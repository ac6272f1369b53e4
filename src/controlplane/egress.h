/* SPDX-License-Identifier: Apache-2.0 */
/* Where konnectivity's socket and configuration are inside the pod. */
#pragma once

#define EGRESS_FOLDER "/etc/kubernetes/konnectivity/configurations"
#define EGRESS_FILE "egress-selector-configuration.yaml"
#define KONNECTIVITY_SOCKET_FOLDER "/run/konnectivity"
#define KONNECTIVITY_SOCKET KONNECTIVITY_SOCKET_FOLDER "/konnectivity-server.socket"
