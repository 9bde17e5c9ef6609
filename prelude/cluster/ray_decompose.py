#!/usr/bin/env python3
"""Runs `vitrepl decompose` over all shards as tasks of Ray.

    python ray_decompose.py --shards 64 --gpus 1 -- \
        vitrepl decompose --model deit --data imagenet:/data/val --out s3://bucket/deit.zarr --device cuda

Everything after `--` is the command of one shard without `--shard`. A task that fails, or whose node is lost, is run
again, on another node if need be: finished chunks are skipped. Ray gives each task its GPUs through
CUDA_VISIBLE_DEVICES, so that `--device cuda` is the task's own. Needs `pip install ray`.
"""

import argparse
import subprocess
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, required=True, help="parts; several a worker, so that none waits long for the last")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of a task")
    parser.add_argument("--cpus", type=float, default=1, help="cores of a task")
    parser.add_argument("--retries", type=int, default=5, help="runs of a shard after the first one")
    parser.add_argument("--address", default=None, help="of the Ray cluster; by default the one this machine is part of")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- vitrepl decompose --model ... without --shard")
    found = parser.parse_args()
    command = found.command[1:] if found.command[:1] == ["--"] else found.command
    if not command:
        parser.error("the command of a shard is missing: -- vitrepl decompose --model ... --data ... --out ...")
    if "--shard" in command:
        parser.error("--shard is set here; leave it out of the command")
    if found.shards < 1:
        parser.error("--shards must be 1 or more")
    return found, command


def main():
    options, command = arguments()
    import ray

    if not ray.is_initialized():
        ray.init(address=options.address)

    # A lost node and a failed command are both run again.
    @ray.remote(num_gpus=options.gpus, num_cpus=options.cpus, max_retries=options.retries, retry_exceptions=True)
    def shard(index):
        part = [*command, "--shard", f"{index}/{options.shards}"]
        done = subprocess.run(part, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"shard {index}: {done.stderr.strip().splitlines()[-1:]}")
        return done.stdout.strip()

    began = time.time()
    waiting = {shard.remote(index): index for index in range(options.shards)}
    failed = []
    while waiting:
        ready, _ = ray.wait(list(waiting), num_returns=1)
        index = waiting.pop(ready[0])
        try:
            said = ray.get(ready[0])
        except Exception as error:  # Ray wraps what a task raised.
            failed.append(index)
            said = f"shard {index} failed: {error}"
        done = options.shards - len(waiting)
        print(f"{done} of {options.shards} shards, {time.time() - began:.0f} s: {said}", flush=True)
    if failed:
        sys.exit(f"shards {failed} failed; run this again, finished chunks are skipped")


if __name__ == "__main__":
    main()
