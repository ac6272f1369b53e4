# SPDX-License-Identifier: Apache-2.0
import datetime
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e"), str(HERE.parent / "golden")]

from installation import Installation, own_network  # noqa: E402

# The store's certificates are part of what was frozen, and etcd reads the real clock. The pass over the same tenants in test/golden has a
# clock of its own and goes on.
LAST_DAY = datetime.date(2027, 11, 18)


@pytest.fixture(scope="module", autouse=True)
def network():
    if datetime.date.today() > LAST_DAY:
        pytest.skip(f"the frozen certificates end after {LAST_DAY}")
    with own_network():
        yield


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with Installation(tmp_path_factory.mktemp("thawed")) as running:
        yield running.thaw()
