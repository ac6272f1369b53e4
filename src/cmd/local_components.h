/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `kamaji local components [--from DIR] [--list] [-o json]`: argv[0] is "components". Exit code. */
int cmd_local_components(int argc, char **argv);
