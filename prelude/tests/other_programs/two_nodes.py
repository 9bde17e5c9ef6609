"""A decomposition by Ray on two nodes of this machine, one of which is killed in the middle.

    python two_nodes.py DRIVER SHARDS -- COMMAND OF ONE SHARD

The driver runs against the cluster, and its exit code is this script's.
"""

import os
import subprocess
import sys
import time

import ray
from ray.cluster_utils import Cluster

driver, shards = sys.argv[1:3]
command = sys.argv[4:]
out = command[command.index("--out") + 1]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
running = subprocess.Popen(
    [sys.executable, driver, "--shards", shards, "--address", cluster.address, "--", *command]
)
# Both nodes are at work once a few chunks are finished.
finished = os.path.join(out, "finished", "c")
while running.poll() is None and not (os.path.isdir(finished) and len(os.listdir(finished)) >= 3):
    time.sleep(0.05)
at = len(os.listdir(finished))
still = running.poll() is None
cluster.remove_node(second, allow_graceful=False)
code = running.wait()
print(f"a node was killed after {at} chunks, the driver at work: {still}", flush=True)
cluster.shutdown()
sys.exit(code)
