/* SPDX-License-Identifier: Apache-2.0 */
/* `kamaji datastore import FILE --data-dir DIR`: a store made from an etcd snapshot. argv[0] is "import"; the result is the exit code. */
#pragma once

int cmd_datastore_import(int argc, char **argv);
